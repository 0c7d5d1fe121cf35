"""Read age distributions: mean, quantiles, interval, and how reliable a prediction is.

A distribution is 117 probabilities, one for each whole age 0-116. To interpolate between whole
years, the mass of age k is spread evenly over [k - 0.5, k + 0.5].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.results import Reason, Status

AGES = 117
"""Number of whole ages that a model distinguishes: 0 to 116 years."""
LARGE_ERROR = 10.0
"""Years: an age that is off by more counts as wrong."""
AGE_ERROR, GENDER_ERROR = 0.25, 0.2
"""Probabilities of a large age error and of a wrong gender above which a prediction is unsure."""


def mean(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the expected age in years, float64 (...), of probabilities (..., 117)."""
    p = np.asarray(probabilities, np.float64)
    return np.asarray(p @ np.arange(p.shape[-1], dtype=np.float64))


def quantile(probabilities: ArrayLike, level: float) -> NDArray[np.float64]:
    """Return the age in years, float64 (...), below which `level` of the mass (..., 117) lies.

    It is clipped to 0-116. Raises ValueError for a level outside 0 to 1.
    """
    if not 0 <= level <= 1:
        raise ValueError(f"level {level!r} is not a probability: expected 0 to 1")
    p = np.asarray(probabilities, np.float64)
    cumulative = np.cumsum(p, axis=-1)
    cumulative /= cumulative[..., -1:]
    k = np.minimum((cumulative < level).sum(axis=-1), p.shape[-1] - 1)[..., None]
    upper = np.take_along_axis(cumulative, k, -1)[..., 0]
    lower = np.where(k > 0, np.take_along_axis(cumulative, np.maximum(k - 1, 0), -1), 0.0)[..., 0]
    mass = upper - lower
    fraction = np.divide(level - lower, mass, out=np.full_like(mass, 0.5), where=mass > 0)
    return np.asarray(np.clip(k[..., 0] - 0.5 + fraction, 0, p.shape[-1] - 1))


def median(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the median age in years, float64 (...), of probabilities (..., 117)."""
    return quantile(probabilities, 0.5)


def below(probabilities: ArrayLike, age: ArrayLike) -> NDArray[np.float64]:
    """Return the mass below an age in years, float64 (N,), of N distributions and N ages."""
    p = np.asarray(probabilities, np.float64)
    years = np.clip(np.asarray(age, np.float64), 0, p.shape[-1] - 1)
    cumulative = np.cumsum(p, axis=-1)
    whole = np.minimum(np.floor(years + 0.5).astype(np.int64), p.shape[-1] - 1)[:, None]
    mass = np.take_along_axis(p, whole, -1)[:, 0]
    before = np.take_along_axis(cumulative, whole, -1)[:, 0] - mass
    return np.asarray((before + mass * (years + 0.5 - whole[:, 0])) / cumulative[:, -1])


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Levels of an age interval: it contains the ages whose cumulative mass lies between them.

    Both are interpolated between whole years. With the same levels at all ages it is the interval
    between two quantiles. With levels for each age it can contain the true age equally often at
    every age (label-conditional conformal prediction; Vovk et al., 2005).
    """

    low: NDArray[np.float64]  # (117,)
    high: NDArray[np.float64]  # (117,)

    @classmethod
    def between(cls, low: float, high: float) -> "Levels":
        """Build the same two levels for all ages."""
        return cls(np.full(AGES, low), np.full(AGES, high))

    def ends(self, probabilities: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the interval's first and last age, years (N,), of distributions (N, 117).

        Both are the median if the interval is empty.
        """
        p = np.asarray(probabilities, np.float64)
        whole = np.arange(p.shape[-1])
        grid = np.arange(0, p.shape[-1] - 0.75, 0.5)  # the mass below is linear between these
        edges = np.cumsum(p, axis=-1)
        edges = np.pad(edges, ((0, 0), (1, 0))) / edges[:, -1:]
        mass = np.empty((len(p), len(grid)))
        mass[:, 1::2] = edges[:, 1:-1]
        mass[:, ::2] = (edges[:, :-1] + edges[:, 1:]) / 2
        # Both are positive or 0 in the interval.
        first = _crossing(mass - np.interp(grid, whole, self.low), grid)
        last = grid[-1] - _crossing((np.interp(grid, whole, self.high) - mass)[:, ::-1], grid)
        empty = first > last  # also if one of them is never reached
        middle = median(p) if empty.any() else first
        return np.where(empty, middle, first), np.where(empty, middle, last)


def _crossing(over: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where on the grid, (N,), piecewise linear functions (N, G) first reach 0, or inf."""
    reached = over >= 0
    k = reached.argmax(axis=1)
    rows = np.arange(len(over))
    here, before = over[rows, k], over[rows, np.maximum(k - 1, 0)]
    step = np.divide(here, here - before, out=np.zeros(len(over)), where=(k > 0) & (here > 0))
    place = grid[k] - step * (grid[1] - grid[0])
    return np.where(reached.any(axis=1), place, np.inf)


class Assessment(NamedTuple):
    """How reliable one prediction is."""

    status: Status
    reasons: tuple[Reason, ...]
    error_probability: float  # 0 to 1; that the age is off by over 10 years or the gender is wrong


def assess(
    age_years: NDArray[np.float64],
    age_probabilities: NDArray[np.float32],
    female_probability: NDArray[np.float32],
    quality_issues: Sequence[tuple[Reason, ...]] | None = None,
) -> list[Assessment]:
    """Rate how reliable each prediction is by the model's own distributions, with reasons.

    Takes ages in years (N,), age distributions (N, 117) and probabilities of female (N,).
    `quality_issues` holds, for each face, why it is poorly visible (see `faces.quality`).
    """
    age_error = large_error_probability(age_years, age_probabilities)
    gender_error = np.minimum(female_probability, 1 - female_probability).astype(np.float64)
    either = 1 - (1 - age_error) * (1 - gender_error)
    assessments = []
    for i, issues in enumerate(quality_issues or [()] * len(age_years)):
        unclear: tuple[Reason, ...] = ()
        if age_error[i] > AGE_ERROR:
            unclear += (Reason.AGE_UNCLEAR,)
        if gender_error[i] > GENDER_ERROR:
            unclear += (Reason.GENDER_UNCLEAR,)
        status = Status.POOR if issues else Status.UNSURE if unclear else Status.OK
        assessments.append(Assessment(status, issues + unclear, float(either[i])))
    return assessments


def large_error_probability(
    age_years: NDArray[np.float64], age_probabilities: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the probability (N,) that each age (N,) is off by more than LARGE_ERROR years.

    `age_probabilities` are the age distributions (N, 117).
    """
    far = np.abs(np.arange(age_probabilities.shape[1]) - age_years[:, None]) > LARGE_ERROR
    return np.asarray(np.clip((age_probabilities * far).sum(axis=1), 0, 1), np.float64)
