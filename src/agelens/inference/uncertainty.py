"""Rate how reliable each prediction is: its error probability, its status, and the reasons.

The error probability is the probability, by the model's own distributions, that the age is off by
more than 10 years or that the gender is wrong.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agelens.results import Reason, Status

LARGE_ERROR = 10.0
"""Years: an age that is off by more counts as wrong."""


AGE_ERROR, GENDER_ERROR = 0.25, 0.2
"""Probabilities of a large age error and of a wrong gender above which a prediction is unsure."""


class Assessment(NamedTuple):
    """How reliable one prediction is."""

    status: Status
    reasons: tuple[Reason, ...]
    error_probability: float  # 0 to 1


def assess(
    age_years: NDArray[np.float64],
    age_probabilities: NDArray[np.float32],
    female_probability: NDArray[np.float32],
    quality_issues: Sequence[tuple[Reason, ...]] | None = None,
) -> list[Assessment]:
    """Rate how reliable each prediction is, with reasons.

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
    years = np.arange(age_probabilities.shape[1])
    far = np.abs(years - age_years[:, None]) > LARGE_ERROR
    return np.asarray(np.clip((age_probabilities * far).sum(axis=1), 0, 1), np.float64)
