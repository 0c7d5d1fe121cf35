"""Bands of age: decades, or the source's own ranges where it gives no exact ages."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.labels import OLDEST

LAST = 90  # years from which there is one band: few faces are older
MOST = 20  # more ranges than this are too many to show

UNLABELLED = "not told"  # as a key of JSON files


@dataclass(frozen=True, slots=True)
class Bands:
    """The band of every face."""

    names: list[str]  # youngest first; only bands with faces
    of: NDArray[np.int64]  # (N,), place in `names`
    ranges: int  # faces with a range for an age

    @property
    def ranged(self) -> bool:
        """Whether some ages are ranges, so that single years mean nothing."""
        return self.ranges > 0

    def rows(self, band: int) -> NDArray[np.int64]:
        """Give the rows of a band."""
        return np.flatnonzero(self.of == band)


def bands_of(samples: pl.DataFrame) -> Bands:
    """Put every face of a dataset's table in its band."""
    ends = _ranges(samples)
    ranges = int((ends[:, 0] < ends[:, 1]).sum())
    whole = ranges == len(ends) and len(np.unique(ends, axis=0)) <= MOST
    keys = ends if whole else _decades(samples["age"].to_numpy().astype(np.int64))
    found, of = np.unique(keys, axis=0, return_inverse=True)
    names = [_name(int(low), int(high)) for low, high in found]
    return Bands(names, of.reshape(-1).astype(np.int64), ranges)


def _ranges(samples: pl.DataFrame) -> NDArray[np.int64]:
    age = samples["age"]
    sides = [
        samples[name].fill_null(age) if name in samples.columns else age
        for name in ("age_low", "age_high")
    ]
    return np.column_stack([side.to_numpy().astype(np.int64) for side in sides])


def _decades(ages: NDArray[np.int64]) -> NDArray[np.int64]:
    low = np.minimum(ages // 10 * 10, LAST)
    return np.column_stack([low, np.where(low == LAST, OLDEST, low + 9)])


def _name(low: int, high: int) -> str:
    if high >= OLDEST:
        return f"{low}+"
    return f"{low}-{high}" if low < high else str(low)


def label_words(column: pl.Series) -> NDArray[np.object_]:
    """Give the words of a label column, with "not told" for nulls."""
    return column.fill_null(UNLABELLED).to_numpy().astype(object)
