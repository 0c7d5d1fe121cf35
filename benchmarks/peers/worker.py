"""The peer's side of the conversation: pictures in on standard input, one JSON line out for each.

Runs in the peers' own environment, so it needs NumPy alone. The driver's side is runner.py.

    PROGRAM [WORD...] --side S              answer every picture of S x S px
    PROGRAM [WORD...] --side S --time R     read all pictures, then time R rounds over them

Pictures are raw RGB bytes. The first line says what answers: {"versions", "weights"}. The others
are {"age", "gender"} or null where no face is found; with --time one line {"pipeline", "model"},
the milliseconds a face took in each round.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Packages print progress and warnings where they like: all but the answers goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

Picture = NDArray[np.uint8]
Answer = dict[str, Any] | None
"""`age` in years and `gender`, "female" or "male"; either may be None."""


@dataclass(frozen=True)
class Peer:
    """A peer program: its networks, and the functions that run them."""

    packages: tuple[str, ...]  # whose versions are reported
    model: list[Path]  # the files of the age and gender networks
    others: list[Path]  # the further files that the pipeline needs
    pipeline: Callable[[Picture], Answer]  # finds the face and answers
    cut: Callable[[Picture], Any]  # gives what `network` takes, or None where no face is found
    network: Callable[[Any], Any]  # answers on a face that is cut out


def serve(peer: Peer, given: argparse.Namespace) -> None:
    """Write what answers, then the answers on the pictures or, with --time, the times."""
    model = sum(file.stat().st_size for file in peer.model)
    others = sum(file.stat().st_size for file in peer.others)
    versions = {"python": sys.version.split()[0], **{name: version(name) for name in peer.packages}}
    write({"versions": versions, "weights": {"model": model, "pipeline": model + others}})
    pictures = read(given.side)
    if given.time:
        write(timed(peer, list(pictures), given.time))
        return
    for picture in pictures:
        write(peer.pipeline(picture))


def write(line: Any) -> None:
    """Send one line."""
    ANSWERS.write(json.dumps(line) + "\n")
    ANSWERS.flush()


def parser() -> argparse.ArgumentParser:
    """Return a parser of the command line, for a program to add its own arguments to."""
    made = argparse.ArgumentParser()
    made.add_argument("--side", type=int, required=True)
    made.add_argument("--time", type=int, default=0)
    return made


def read(side: int) -> Iterator[Picture]:
    """Read the pictures on standard input, uint8 (side, side, 3)."""
    size = side * side * 3
    while data := sys.stdin.buffer.read(size):
        yield np.frombuffer(data, np.uint8).reshape(side, side, 3).copy()


def timed(peer: Peer, pictures: list[Picture], rounds: int) -> dict[str, list[float]]:
    """Time the pipeline and the network, each over all pictures, round after round."""
    cuts = [cut for picture in pictures if (cut := peer.cut(picture)) is not None]
    parts = {"pipeline": (peer.pipeline, pictures), "model": (peer.network, cuts)}
    times: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(rounds + 1):  # the first round warms up
        for name, (function, inputs) in parts.items():
            began = time.perf_counter()
            for one in inputs:
                function(one)
            if number:
                times[name].append(1000 * (time.perf_counter() - began) / len(inputs))
    return times
