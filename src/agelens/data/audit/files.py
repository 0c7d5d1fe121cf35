"""Check that the pictures of a data set are what was imported: read, hash and decode each."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.data.audit.duplicates import WORDS, perceptual_hash
from agelens.data.dataset import Dataset
from agelens.data.storage import read_rejects
from agelens.errors import PictureError
from agelens.faces.pipeline import prefetch
from agelens.images import decode
from agelens.images.decode import Picture

BLACK = 4  # largest channel up to which a pixel is black; JPEG leaves little in a flat area
CONVEX = 0.965  # share of its convex hull that the rest of the chip must fill
_SIDE = 67  # pixels at which it is measured

_y, _x = np.mgrid[:_SIDE, :_SIDE] * (200 / _SIDE)
# where the template has the face
_FACE: NDArray[np.bool_] = ((_x - 98) / 70) ** 2 + ((_y - 100) / 90) ** 2 <= 1


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """What a check of N files found."""

    faults: dict[str, str]  # file -> why it cannot be used; sound files are not in it
    rejects: dict[str, str]  # left out at the import: file -> reason
    hashes: NDArray[np.uint64]  # (N, 4), perceptual; 0 where there is a fault
    beyond: NDArray[np.float64]  # (N,), share of the face's place beyond the photo's edge
    sound: NDArray[np.bool_]  # (N,)


def check(
    dataset: Dataset, report: Callable[[int, int], None] = lambda done, total: None,
    threads: int | None = None,
) -> Files:  # fmt: skip
    """Compare every picture with what was imported; `report` gets those done, and of how many."""
    rows = list(dataset.samples.select("file", "sha256").iter_rows())
    hashes = np.zeros((len(rows), WORDS), np.uint64)
    beyond = np.zeros(len(rows))
    faults: dict[str, str] = {}
    done = prefetch(lambda row: _check(dataset, *row), rows, threads or os.cpu_count() or 1)
    for place, checked in enumerate(done):
        if isinstance(checked, str):
            faults[rows[place][0]] = checked
        else:
            hashes[place], beyond[place] = checked
        if place % 64 == 63:
            report(place + 1, len(rows))
    sound = np.array([file not in faults for file, _ in rows], bool)
    rejects = read_rejects(dataset.folder) if (dataset.folder / "rejects.csv").is_file() else {}
    return Files(faults, rejects, hashes, beyond, sound)


def _check(dataset: Dataset, file: str, expected: str) -> tuple[NDArray[np.uint64], float] | str:
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
    return perceptual_hash(picture), beyond_edge(picture)


def beyond_edge(chip: Picture) -> float:
    """Measure how much of a chip's face, 0 to 1, lies beyond the edge of the photo it was cut from.

    Takes uint8 (H, W, 3) RGB. Beyond the edge the chip is filled up with black. Black background
    looks alike, but what a photo's edge leaves of a chip is convex, and a head before a dark wall
    is not.
    """
    small = cv2.resize(chip, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
    dark = (small.max(axis=2) <= BLACK).astype(np.uint8)
    if not dark[_FACE].any():
        return 0.0
    _, spots = cv2.connectedComponents(dark, connectivity=4)
    at_rim = np.unique(np.concatenate([spots[0], spots[-1], spots[:, 0], spots[:, -1]]))
    fill = np.isin(spots, at_rim[at_rim > 0])
    rest = (~fill).astype(np.uint8)
    if not rest.any():
        return 1.0
    hull = np.zeros_like(rest)
    cv2.fillConvexPoly(hull, cv2.convexHull(cv2.findNonZero(rest)), [1])
    if rest.sum() < CONVEX * hull.sum():
        return 0.0
    return float(fill[_FACE].mean())
