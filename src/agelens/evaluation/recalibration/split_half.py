"""A dataset in two halves: one to fit a calibration on, one to judge it on.

No photo and no person stands on both sides: whole folds go to one side or the other, and where
the folds do not make two halves, whole persons, or all copies of a photo.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.errors import DatasetError

LEAST = 150
"""Faces of the smaller half: with fewer, the levels of an interval are mostly chance."""
UNEVEN = 0.15
"""How far from one half the share of faces to fit on may be."""


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """Two halves of N faces."""

    fit: NDArray[np.bool_]  # (N,)
    by: str  # what stays together: "folds", "people" or "photos"
    people_told: bool  # whether the dataset tells who is who

    @property
    def check(self) -> NDArray[np.bool_]:
        """The faces that the calibration is judged on, (N,)."""
        return ~self.fit


def halve(samples: pl.DataFrame, seed: int) -> Halves:
    """Part the faces of a dataset; the same seed gives the same halves.

    Raises DatasetError where a half would have fewer than LEAST faces.
    """
    if len(samples) < 2 * LEAST:
        raise _too_few(len(samples), len(samples) // 2)
    by, units = "folds", samples["fold"].to_numpy()
    fit = _half(units, seed)
    if abs(fit.mean() - 0.5) > UNEVEN:
        by, units = _people_or_photos(samples)
        fit = _half(units, seed)
    smaller = int(min(fit.sum(), (~fit).sum()))
    if smaller < LEAST:
        raise _too_few(len(samples), smaller)
    return Halves(fit, by, "subject" in samples.columns)


def _too_few(faces: int, smaller: int) -> DatasetError:
    return DatasetError(
        f"{faces:,} faces are too few to recalibrate on: the smaller half would have "
        f"{smaller:,}, expected at least {LEAST}; label more, or leave --recalibrate off"
    )


def _people_or_photos(samples: pl.DataFrame) -> tuple[str, NDArray[np.object_]]:
    photo = samples["sha256"]
    if "subject" not in samples.columns:
        return "photos", photo.to_numpy().astype(object)
    people = samples["subject"].fill_null(photo)
    return "people", people.to_numpy().astype(object)


def _half(units: NDArray[np.generic], seed: int) -> NDArray[np.bool_]:
    """Choose units, in random order, until they hold about half of the faces."""
    _, member, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    held = np.cumsum(sizes[order])
    enough = int(np.abs(held - len(units) / 2).argmin()) + 1
    chosen: NDArray[np.bool_] = np.isin(member, order[:enough])
    return chosen
