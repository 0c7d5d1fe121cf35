"""Are the pictures of a dataset still what was imported? Each is read, hashed and decoded."""

import csv
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agelens.data.audit import perceptual_hash
from agelens.data.audit.edges import beyond_edge
from agelens.data.dataset import Dataset
from agelens.errors import PictureError
from agelens.images import decode

Report = Callable[[int, int], None]
"""Called with the pictures done, and of how many."""


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """What was seen of N files."""

    faults: dict[str, str]  # file -> why it cannot be used; sound files are not in it
    rejects: dict[str, str]  # left out at the import: file -> reason
    hashes: NDArray[np.uint64]  # (N, 4), perceptual; 0 where there is a fault
    beyond: NDArray[np.float64]  # (N,), share of the face's place beyond the photo's edge
    sound: NDArray[np.bool_]  # (N,)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    hash: NDArray[np.uint64]
    beyond: float


def check(dataset: Dataset, report: Report | None = None, threads: int | None = None) -> Files:
    """Read every picture of a dataset and compare it with what was imported."""
    rows = list(dataset.samples.select("file", "sha256").iter_rows())
    hashes = np.zeros((len(rows), perceptual_hash.WORDS), np.uint64)
    beyond = np.zeros(len(rows))
    faults: dict[str, str] = {}
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        try:
            for place, seen in enumerate(pool.map(lambda row: _look(dataset, *row), rows)):
                if isinstance(seen, str):
                    faults[rows[place][0]] = seen
                else:
                    hashes[place], beyond[place] = seen.hash, seen.beyond
                if report is not None and place % 64 == 63:
                    report(place + 1, len(rows))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    sound = np.array([file not in faults for file, _ in rows], bool)
    return Files(faults, _rejects(dataset), hashes, beyond, sound)


def _look(dataset: Dataset, file: str, expected: str) -> _Seen | str:
    """Give what is seen of a picture, or what is wrong with it."""
    try:
        content = dataset.image_path(file).read_bytes()
        picture = decode.read(content)
    except FileNotFoundError:
        return "missing from images/"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except PictureError as error:
        return str(error)
    if hashlib.sha256(content).hexdigest() != expected:
        return "its bytes have changed since the import"
    return _Seen(perceptual_hash.perceptual(picture), beyond_edge(picture))


def _rejects(dataset: Dataset) -> dict[str, str]:
    path = dataset.folder / "rejects.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}
