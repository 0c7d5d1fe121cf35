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
ROUNDING = 1e-9  # a year that is out by no more than the rounding of sums is inside
TAIL = 0.06
"""The mass on either side of an interval. Ends are whole years, so it covers more than 88 %."""
AGE_ERROR, GENDER_ERROR = 0.25, 0.2
"""Probabilities of a large age error and of a wrong gender above which a prediction is unsure."""
INFANT, INFANT_GENDER_ERROR = 5, 0.1
"""Below this age in years, where 7 labels in 10 are right, the gender must be more certain."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Levels of an age interval, for each whole year that may be the age.

    A year is inside where more than the low level of the mass lies up to its end, and less than
    the high level before it. An interval is the first and the last such year. It contains an age
    if low <= age <= high, where age is the number of years that a person has completed. With the
    same levels at all ages the ends are two quantiles of the distribution.
    """

    low: NDArray[np.float64]  # (117,), below 0.5
    high: NDArray[np.float64]  # (117,), above 0.5

    @classmethod
    def between(cls, low: float, high: float) -> "Levels":
        """Build the same two levels for all ages."""
        return cls(np.full(AGES, low), np.full(AGES, high))

    def ends(self, probabilities: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and last year of the intervals, (N,), of distributions (N, 117).

        The year of the median is always inside.
        """
        upto, before = masses(probabilities)
        inside = (upto > self.low - ROUNDING) & (before < self.high + ROUNDING)
        return inside.argmax(axis=1), AGES - 1 - inside[:, ::-1].argmax(axis=1)

    def table(self) -> dict[str, list[float]]:
        """Return the levels as a model's card holds them."""
        return {"low": self.low.round(4).tolist(), "high": self.high.round(4).tolist()}


def masses(probabilities: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mass up to the end of each year and before it, of distributions: (N, 117)."""
    p = np.asarray(probabilities, np.float64)
    upto = np.cumsum(p, axis=1) / p.sum(axis=1, keepdims=True)
    return upto, np.pad(upto, ((0, 0), (1, 0)))[:, :-1]


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
        if gender_error[i] > (INFANT_GENDER_ERROR if age_years[i] < INFANT else GENDER_ERROR):
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
