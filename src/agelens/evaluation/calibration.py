"""Fit what makes a model's doubt honest: temperatures, and the levels of its age intervals.

Everything here is fitted on validation faces, and is a few numbers that go into the model or
its card.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from agelens.inference import distribution
from agelens.inference.distribution import AGES, Levels

COVERAGE = 0.9
SPREAD = 3.0
"""Years: how fast a validation face's say in the levels of an age falls off with its distance."""
WORTH = 150.0
"""Faces that must have a say, by their weights (Kish, 1965); where they are fewer, SPREAD grows."""
TINY = 1e-7
_LEAST = 1e-30  # of a probability whose logarithm is taken


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is done to a model's logits (Guo et al., 2017; Platt, 1999)."""

    age: float = 1.0  # 1 / temperature, times the age logits
    gender: float = 1.0  # times the gender logit
    bias: float = 0.0  # then added to it


def fit_scaling(
    probabilities: NDArray[np.floating],
    female_probability: NDArray[np.floating],
    ages: NDArray[np.integer],
    female: NDArray[np.integer],
) -> Scaling:
    """Fit to N validation faces: distributions (N, 117), probabilities and labels (N,).

    Lowers the log loss of the label; ages in whole years, female 0 or 1.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _LEAST))
    rows = np.arange(len(ages))

    def age_loss(log_scale: float) -> float:
        scaled = logits * np.exp(log_scale)
        largest = scaled.max(axis=1)
        total = largest + np.log(np.exp(scaled - largest[:, None]).sum(axis=1))
        return float((total - scaled[rows, ages]).mean())

    inner = np.clip(female_probability.astype(np.float64), TINY, 1 - TINY)
    logit = np.log(inner / (1 - inner))
    sign = np.where(female > 0, 1.0, -1.0)

    def gender_loss(numbers: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0, -sign * (numbers[0] * logit + numbers[1])).mean())

    found = minimize_scalar(age_loss, bounds=(np.log(0.2), np.log(5)), method="bounded")
    bounds = [(0.2, 5), (-2, 2)]
    line = minimize(gender_loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=bounds)
    return Scaling(float(np.exp(found.x)), float(line.x[0]), float(line.x[1]))


def sharpened(probabilities: NDArray[np.floating], scale: float) -> NDArray[np.float64]:
    """Give the distributions (N, 117) whose logits are `scale` times those of the given ones."""
    powered = np.power(probabilities.astype(np.float64), scale)
    sharp: NDArray[np.float64] = powered / powered.sum(axis=1, keepdims=True)
    return sharp


def fit_levels(
    probabilities: NDArray[np.floating],
    ages: NDArray[np.integer],
    coverage: float = COVERAGE,
    spread: float = SPREAD,
) -> Levels:
    """Fit the levels of intervals that hold the label in a share `coverage` of faces at every age.

    For each age all validation faces say how far from the middle of its distribution a label
    lies, weighted by a normal curve of their distance in age, so that the levels change smoothly
    from age to age; the levels span the conformal quantile of that (Vovk et al., 2005; weighted:
    Guan, 2023; the condition is the label, not the prediction, so that the old, whose age is
    underestimated, are covered too). Takes (N, 117) and whole years (N,).
    A label is held where `metrics.interval_hits` says so: ends count by the year they are in.
    """
    before = distribution.below(probabilities, ages - 1)
    after = distribution.below(probabilities, ages + 1)
    off = np.maximum(0, np.maximum(before - 0.5, 0.5 - after))
    order = np.argsort(off, kind="stable")
    half = np.empty(AGES)
    for age in range(AGES):
        weights, worth = _weights(ages, age, spread)
        held = np.cumsum(weights[order]) / (weights.sum() * (1 + 1 / worth))
        half[age] = off[order][min(int(np.searchsorted(held, coverage)), len(off) - 1)]
    half = np.clip(half, 0.01, 0.5)
    return Levels(0.5 - half, 0.5 + half)


def _weights(
    ages: NDArray[np.integer], age: int, spread: float
) -> tuple[NDArray[np.float64], float]:
    """Give each face's say in the levels of an age, and how many faces the weights are worth."""
    wanted = min(WORTH, 0.9 * len(ages))
    while True:
        away = np.abs(ages - age)
        weights = np.exp(-0.5 * ((away - away.min()) / spread) ** 2)
        worth = float(weights.sum() ** 2 / (weights**2).sum())
        if worth >= wanted:
            return weights, worth
        spread *= 1.25
