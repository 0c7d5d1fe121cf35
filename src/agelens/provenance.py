"""Describe what is behind a recorded figure: software, machine, files, time; without names."""

import hashlib
import os
import platform
import shlex
import statistics
import time
import timeit
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("agelens", "numpy", "onnx", "onnxruntime", "opencv-python-headless", "pillow",
            "polars", "torch")  # fmt: skip


def versions() -> dict[str, str]:
    """Return the installed versions of Python and of the packages that affect results."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # an extra that is not installed
            found[name] = metadata.version(name)
    return found


def machine(threads: int | None = None) -> dict[str, Any]:
    """Return the kind of machine and the number of threads used (None: one per core)."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads or os.cpu_count(),
    }


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}
"""Vector extensions by their flag in /proc/cpuinfo, the widest first."""


def _processor() -> str:
    """Return the kind of processor, as far as known: "AMD EPYC, x86_64, AVX2"."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    pairs = (line.partition(":") for line in lines)
    entries = {key.strip().lower(): value.strip() for key, _, value in pairs}
    flags = entries.get("flags", entries.get("features", "")).split()
    vectors = [name for flag, name in VECTORS.items() if flag in flags]
    parts = [entries.get("model name"), platform.machine(), *vectors[:1]]
    return ", ".join(filter(None, parts))


def command(words: Sequence[str]) -> str:
    """Return a command line for the record, with absolute paths shortened to their last part.

    The folders would reveal something about their owner, and mean nothing on another machine.
    """

    def shorten(word: str) -> str:
        head, equals, tail = word.rpartition("=")
        return head + equals + Path(tail).name if Path(tail).is_absolute() else word

    return shlex.join(map(shorten, words))


def now() -> str:
    """Return the date and time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Stopwatch(dict[str, float]):
    """Seconds spent in each stage so far; with several threads their sum."""

    def __init__(self, stages: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(stages, 0.0))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes, even if it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self[stage] += time.perf_counter() - start


def median_milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of some calls in milliseconds, after one call that warms up."""
    seconds = timeit.repeat(call, number=1, repeat=repeats + 1)
    return 1000 * statistics.median(seconds[1:])
