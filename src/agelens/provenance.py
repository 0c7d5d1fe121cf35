"""What a record says of the software and the machine behind a figure; never a name."""

import os
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "agelens",
    "numpy",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "polars",
    "torch",
)


def versions() -> dict[str, str]:
    """Give the installed versions of Python and of the packages that shape a figure."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # an extra that is not installed
            continue
    return found


def machine(threads: int | None = None) -> dict[str, Any]:
    """Give the kind of machine, and how many threads were used (None: one per core)."""
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
"""Flags of /proc/cpuinfo, the widest first: two processors of one name may differ in it."""


def _processor() -> str:
    """Give the processor's kind, such as "AMD EPYC, x86_64, AVX2"; without what is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    parts = (line.partition(":") for line in lines)
    told = {key.strip().lower(): value.strip() for key, _, value in parts}
    flags = told.get("flags", told.get("features", "")).split()
    vectors = [name for flag, name in VECTORS.items() if flag in flags]
    names = [told["model name"]] if "model name" in told else []
    return ", ".join([*names, platform.machine(), *vectors[:1]])


def command(words: Sequence[str]) -> str:
    """Give a command line as a record keeps it: of absolute paths only the last part.

    Where somebody's files lie is nobody else's business, and no use on another machine.
    """
    return shlex.join([_without_folders(word) for word in words])


def _without_folders(word: str) -> str:
    head, equals, tail = word.rpartition("=")
    return head + equals + Path(tail).name if Path(tail).is_absolute() else word


def now() -> str:
    """Give the date and time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
