"""How far an answer can be relied on: its doubt, its status, and the reasons.

Doubt is the chance that the age is off by more than 10 years or the gender wrong, as the
model's own distribution has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agelens.results import Reason, Status

FAR_OFF = 10.0
"""Years: an age that is off by more is a wrong answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on an answer is called unsure."""

    age_risk: float = 0.25  # chance that the age is off by more than FAR_OFF
    gender_risk: float = 0.2  # chance that the gender is wrong


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be thought of one answer."""

    status: Status
    reasons: tuple[Reason, ...]
    doubt: float  # 0 to 1


def judge(
    points: NDArray[np.float64],
    ages: NDArray[np.float32],
    female: NDArray[np.float32],
    limits: Limits = Limits(),
    poor: Sequence[tuple[Reason, ...]] | None = None,
) -> list[Verdict]:
    """Judge N answers: ages in years (N,), distributions (N, 117), probabilities (N,).

    `poor` are, for each, the reasons for which its face is not seen well enough (`seeing`).
    """
    age_risk = far_off(points, ages)
    gender_risk = np.minimum(female, 1 - female).astype(np.float64)
    doubt = 1 - (1 - age_risk) * (1 - gender_risk)
    unclear = (
        (Reason.AGE_UNCLEAR, age_risk > limits.age_risk),
        (Reason.GENDER_UNCLEAR, gender_risk > limits.gender_risk),
    )
    return [
        _verdict(
            () if poor is None else poor[i],
            tuple(reason for reason, those in unclear if those[i]),
            float(doubt[i]),
        )
        for i in range(len(points))
    ]


def far_off(points: NDArray[np.float64], ages: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give the chance that each age (N,) is off by over FAR_OFF, by distributions (N, 117)."""
    years = np.arange(ages.shape[1])
    off = np.abs(years - points[:, None]) > FAR_OFF
    return np.asarray(np.clip((ages * off).sum(axis=1), 0, 1), np.float64)


def _verdict(poor: tuple[Reason, ...], unclear: tuple[Reason, ...], doubt: float) -> Verdict:
    status = Status.POOR if poor else Status.UNSURE if unclear else Status.OK
    return Verdict(status, poor + unclear, doubt)
