"""Split a dataset in two halves: one to fit a calibration on, one to judge it on.

No photo and no person is in both: whole folds go to one half, and where the folds do not make
two halves, whole persons, or all copies of a photo.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.errors import DatasetError
from agelens.evaluation.arrays import Mask

MIN_HALF = 150
"""Faces of the smaller half: with fewer, the levels of an interval are mostly chance."""
MAX_IMBALANCE = 0.15
"""How far from one half the share of faces to fit on may be."""


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """Two halves of N faces."""

    fit: Mask  # (N,)
    by: str  # what stays together: "folds", "people" or "photos"
    has_subjects: bool  # whether the dataset names the person of each face

    @property
    def check(self) -> Mask:
        """The faces that the calibration is judged on, (N,)."""
        return ~self.fit


def split_in_half(samples: pl.DataFrame, seed: int) -> Halves:
    """Split the faces of a dataset; the same seed gives the same halves.

    Raises DatasetError where a half would have fewer than MIN_HALF faces.
    """
    has_subjects = "subject" in samples.columns
    fit, by = np.arange(len(samples)) % 2 == 1, "folds"
    if len(samples) >= 2 * MIN_HALF:
        fit = _half(samples["fold"].to_numpy(), seed)
        if abs(fit.mean() - 0.5) > MAX_IMBALANCE:
            photos = samples["sha256"]
            by = "people" if has_subjects else "photos"
            units = samples["subject"].fill_null(photos) if has_subjects else photos
            fit = _half(units.to_numpy().astype(object), seed)
    smaller = int(min(fit.sum(), (~fit).sum()))
    if smaller < MIN_HALF:
        raise DatasetError(
            f"{len(samples):,} faces are too few to recalibrate on: the smaller half would have "
            f"{smaller:,}, expected at least {MIN_HALF}; label more, or leave --recalibrate off"
        )
    return Halves(fit, by, has_subjects)


def _half(units: NDArray[np.generic], seed: int) -> Mask:
    """Choose units, in random order, until they hold about half of the faces."""
    _, member, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    held = np.cumsum(sizes[order])
    enough = int(np.abs(held - len(units) / 2).argmin()) + 1
    chosen: Mask = np.isin(member, order[:enough])
    return chosen
