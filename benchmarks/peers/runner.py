"""The peers, and how one is run: a program that reads pictures and writes an answer about each.

The peers are agelens with some models, and the packages of catalogue.toml. worker.py says what goes
between the two programs. A peer runs in its own process and environment, on one thread, and sees a
picture only while it answers about it: no file of it is written.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import agelens
from agelens.errors import AgelensError, ConfigError
from agelens.evaluation.evaluate import model_name
from agelens.inference.runtime import CHIP, Model

HERE = Path(__file__).resolve().parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
}  # fmt: skip
COMPLAINT_LINES = 15
FACTS = ("trained_on", "utkface", "sources", "licence")
PINS = ("package.json", "requirements.txt", "requirements-no-deps.txt")

Chip = NDArray[np.uint8]


class PeerFailed(AgelensError):
    """A peer that cannot be started, or that did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Border:
    """What is put around a chip, so that a detector sees a face in a picture."""

    share: float = 0.0  # of the chip's side, on each side
    fill: str = "black"  # or "edge", the outermost pixels repeated

    @property
    def side(self) -> int:
        """Pixels of the side of a chip within the border."""
        return CHIP + 2 * round(CHIP * self.share)

    def around(self, chip: Chip) -> Chip:
        """Put the border around a chip (CHIP, CHIP, 3)."""
        wide = round(CHIP * self.share)
        kind = cv2.BORDER_REPLICATE if self.fill == "edge" else cv2.BORDER_CONSTANT
        return cv2.copyMakeBorder(chip, wide, wide, wide, wide, kind)

    def __str__(self) -> str:
        return f"{self.fill} {self.share:.0%}" if self.share else "none"


BORDERS = (
    Border(),
    *(Border(share, fill) for share in (0.25, 0.5, 1.0) for fill in ("black", "edge")),
)
"""The borders that are tried, the narrowest first."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that predicts age and gender."""

    name: str
    package: str
    program: list[str]  # agelens, python or node, then the script and its words
    detector: str | None  # peers of one detector get the same border; None: no detector
    facts: dict[str, Any]  # what the catalogue says of it, or a model's digest
    pins: str  # a digest of what fixes its answers beside the program's words
    ours: bool = False


def peers(models: list[str], only: list[str] | None) -> list[Peer]:
    """Return ours, each with its own detection and on the chip as it is, and the others.

    `only` names others. Raises ConfigError for a name that the catalogue does not have.
    """
    return [peer for model in models for peer in ours(model)] + others(only)


def ours(name: str) -> list[Peer]:
    """Return agelens with a model, by name or path, finding the face and on the aligned chip."""
    model = Model(name)
    facts = {"model_sha256": _digest([model.path])}
    sources = sorted(Path(agelens.__file__).parent.rglob("*.py"))
    pins = _digest([model.path, *sources])
    program, title = ["agelens", "agelens_peer.py", str(model.path)], f"agelens {model_name(model)}"
    ways = ((title, program, "agelens"), (f"{title}, aligned chip", [*program, "--chips"], None))
    return [Peer(name, "agelens", *how, facts, pins, ours=True) for name, *how in ways]


def others(only: list[str] | None) -> list[Peer]:
    """Return the peers of the catalogue, or those that are named."""
    entries = catalogue()["peer"]
    known = [entry["name"] for entry in entries]
    if unknown := sorted(set(only or ()) - set(known)):
        raise ConfigError(f"no peer {', '.join(unknown)}: expected {', '.join(known)}")
    pins = _digest([HERE / name for name in PINS])
    return [
        Peer(
            entry["name"], entry["package"], entry["program"], entry.get("detector"),
            {key: entry[key] for key in FACTS}, pins,
        )
        for entry in entries
        if only is None or entry["name"] in only
    ]  # fmt: skip


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Read catalogue.toml: `peer`, and `left_out`."""
    return tomllib.loads((HERE / "catalogue.toml").read_text("utf-8"))


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def command(program: list[str], python: Path) -> list[str]:
    """Return the command of a program whose first word is agelens, python or node.

    `python` is that of the peers' environment. Raises PeerFailed where a part of it is missing.
    """
    kind, script, *rest = program
    if kind == "agelens":
        return [sys.executable, str(HERE / script), *rest]
    if kind == "python":
        if not python.is_file():
            raise PeerFailed(
                f"no Python at {str(python)!r}: make it as benchmarks/peers/README.md says"
            )
        return [str(python), str(HERE / script), *rest]
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules").is_dir():
        lacking = "no Node.js" if node is None else "no benchmarks/peers/node_modules"
        raise PeerFailed(f"{lacking}: install as benchmarks/peers/README.md says")
    return [node, "--no-warnings", str(HERE / script), *rest]


def answers(words: list[str], chips: Iterable[Chip], border: Border) -> Iterator[Any]:
    """Yield what the peer reports of itself, then its answer on each chip, in order.

    Raises PeerFailed where it fails, or answers on fewer or more than it was given.
    """
    given = count = 0

    def counted() -> Iterator[Chip]:
        nonlocal given
        for chip in chips:
            given += 1
            yield chip

    for count, line in enumerate(_lines(words, counted(), border)):  # noqa: B007
        yield line
    if count != given:
        raise PeerFailed(f"{' '.join(words)}: {count} answers on {given} pictures")


def times(
    words: list[str], chips: list[Chip], border: Border, rounds: int
) -> dict[str, list[float]]:
    """Let a peer time itself: the milliseconds a face of "pipeline" and "model", by round."""
    _, measured = _lines([*words, "--time", str(rounds)], chips, border)
    return measured


def installed_times(
    models: Iterable[str], chip: Chip, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Let ours and the peers that are installed time themselves in turn on a chip with a border."""
    found: dict[str, dict[str, list[float]]] = {}
    for peer in peers(list(models), None) * max(1, rounds // 3):
        try:
            words = command(peer.program, HERE / ".venv/bin/python")
            border = Border(0.5 if peer.detector else 0.0)
            for part, ms in times(words, [chip] * 4, border, 3).items():
                found.setdefault(peer.name, {}).setdefault(part, []).extend(ms)
        except PeerFailed as error:
            print(f"{peer.name} is left out: {error}", file=sys.stderr)
    return found


def _lines(words: list[str], chips: Iterable[Chip], border: Border) -> Iterator[Any]:
    """Send the chips and yield the lines that come back, read as JSON."""
    trouble: list[Exception] = []
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            [*words, "--side", str(border.side)], env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints,
        )  # fmt: skip

        def feed() -> None:
            try:
                for chip in chips:
                    child.stdin.write(border.around(chip).tobytes())
            except BrokenPipeError:  # it has ended: the caller sees why
                pass
            except Exception as error:  # a picture that cannot be read
                trouble.append(error)
            finally:
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.close()

        feeder = Thread(target=feed, daemon=True)
        feeder.start()
        try:
            empty = True
            for line in child.stdout:
                try:
                    answer = json.loads(line)
                except ValueError as error:
                    raise PeerFailed(
                        f"{' '.join(words)} wrote {line[:80]!r}: expected a line of JSON"
                    ) from error
                yield answer
                empty = False
            code = child.wait()
            feeder.join()
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        if trouble:
            raise trouble[0]
        if code or empty:
            complaints.seek(0)
            last = complaints.read().decode("utf-8", "replace").splitlines()[-COMPLAINT_LINES:]
            raise PeerFailed("\n".join([f"{' '.join(words)} ended with {code}:", *last]))
