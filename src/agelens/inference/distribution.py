"""What an age distribution says: its mean, its quantiles, its median, its interval.

A distribution is 117 probabilities, one for each whole age 0-116. To read off
fractions of a year, the mass of age k is spread evenly over [k - 0.5, k + 0.5].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

AGES = 117
"""Whole ages a model distinguishes: 0 to 116 years."""


def mean(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Give the expected age in years, float64 (...), of probabilities (..., 117)."""
    p = np.asarray(probabilities, np.float64)
    centre: NDArray[np.float64] = p @ np.arange(p.shape[-1], dtype=np.float64)
    return centre


def quantile(probabilities: ArrayLike, level: float) -> NDArray[np.float64]:
    """Give the age in years below which `level` (0 to 1) of the mass lies.

    Takes (..., 117), gives float64 (...), clipped to [0, 116].
    Raises ValueError for a level outside 0 to 1.
    """
    if not 0 <= level <= 1:
        raise ValueError(f"level {level!r} is not a share: expected 0 to 1")
    p = np.asarray(probabilities, np.float64)
    upto = np.cumsum(p, axis=-1)
    upto /= upto[..., -1:]
    k = np.minimum((upto < level).sum(axis=-1), p.shape[-1] - 1)[..., None]
    upper = np.take_along_axis(upto, k, -1)[..., 0]
    lower = np.where(k > 0, np.take_along_axis(upto, np.maximum(k - 1, 0), -1), 0.0)[..., 0]
    mass = upper - lower
    into = np.divide(level - lower, mass, out=np.full_like(mass, 0.5), where=mass > 0)
    age: NDArray[np.float64] = np.clip(k[..., 0] - 0.5 + into, 0, p.shape[-1] - 1)
    return age


def median(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Give the median age in years, float64 (...), of probabilities (..., 117)."""
    return quantile(probabilities, 0.5)


def below(probabilities: ArrayLike, age: ArrayLike) -> NDArray[np.float64]:
    """Give the mass below an age in years, float64 (N,), of N distributions and N ages."""
    p = np.asarray(probabilities, np.float64)
    years = np.clip(np.asarray(age, np.float64), 0, p.shape[-1] - 1)
    upto = np.cumsum(p, axis=-1)
    whole = np.minimum(np.floor(years + 0.5).astype(np.int64), p.shape[-1] - 1)[:, None]
    mass = np.take_along_axis(p, whole, -1)[:, 0]
    before = np.take_along_axis(upto, whole, -1)[:, 0] - mass
    share: NDArray[np.float64] = (before + mass * (years + 0.5 - whole[:, 0])) / upto[:, -1]
    return share


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Which ages an interval holds: those with a share of the mass below them in a range.

    Age k (0 to 116) is held where the mass below it lies between `low[k]` and `high[k]`, shares
    of shape (117,); between whole years both are interpolated. Levels that are the same for all
    ages give the interval between two quantiles. Levels of their own for each age can make the
    interval hold the truth equally often at every age (label-conditional conformal prediction;
    Vovk et al., 2005).
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def between(cls, low: float, high: float) -> "Levels":
        """Give the same two levels for all ages."""
        return cls(np.full(AGES, low), np.full(AGES, high))

    def ends(self, probabilities: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the first and the last age held, years (N,), of distributions (N, 117).

        Where no age is held both are the median.
        """
        p = np.asarray(probabilities, np.float64)
        grid = np.arange(0, p.shape[-1] - 0.75, 0.5)  # the mass below is linear between these
        edges = np.cumsum(p, axis=-1)
        edges = np.concatenate([np.zeros_like(edges[:, :1]), edges], axis=-1) / edges[:, -1:]
        mass = np.empty((len(p), len(grid)))
        mass[:, 1::2] = edges[:, 1:-1]
        mass[:, ::2] = (edges[:, :-1] + edges[:, 1:]) / 2
        whole = np.arange(p.shape[-1])
        over = mass - np.interp(grid, whole, self.low)  # at least 0 where held
        under = np.interp(grid, whole, self.high) - mass
        first = _crossing(over, grid)
        last = grid[-1] - _crossing(under[:, ::-1], grid)
        none = first > last  # also where one of them is never reached
        middle = median(p) if none.any() else first
        return np.where(none, middle, first), np.where(none, middle, last)


def _crossing(over: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the first place on the grid, (N,), where a function (N, G) linear on it reaches 0.

    Infinity where it never does.
    """
    reached = over >= 0
    k = reached.argmax(axis=1)
    rows = np.arange(len(over))
    here, before = over[rows, k], over[rows, np.maximum(k - 1, 0)]
    step = np.divide(here, here - before, out=np.zeros(len(over)), where=(k > 0) & (here > 0))
    place = grid[k] - step * (grid[1] - grid[0])
    return np.where(reached.any(axis=1), place, np.inf)
