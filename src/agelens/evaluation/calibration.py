"""Fit what makes a model's doubt honest: temperatures, and the levels of its age intervals.

Everything here is fitted on validation faces, and is a few numbers that go into the model or
its card.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from agelens import distribution
from agelens.distribution import AGES, Levels

COVERAGE = 0.9
NEIGHBOURS = 250
"""Faces, the nearest in age, on which the levels of one age are fitted."""
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
    neighbours: int = NEIGHBOURS,
) -> Levels:
    """Fit the levels of intervals that hold the label in a share `coverage` of faces at every age.

    For each age the NEIGHBOURS validation faces whose labels lie nearest (or all of that age)
    say how far from the middle of its distribution a label lies; the levels span the conformal
    quantile of that (Vovk et al., 2005; the condition is the label, not the prediction, so that
    the old, whose age is underestimated, are covered too). Takes (N, 117) and whole years (N,).
    A label is held where `metrics.interval_hits` says so: ends count by the year they are in.
    """
    before = distribution.below(probabilities, ages - 1)
    after = distribution.below(probabilities, ages + 1)
    off = np.maximum(0, np.maximum(before - 0.5, 0.5 - after))
    half = np.empty(AGES)
    for age in range(AGES):
        away = np.abs(ages - age)
        reach = np.sort(away)[min(neighbours, len(ages)) - 1]
        near = np.sort(off[away <= reach])
        place = int(np.ceil((len(near) + 1) * coverage)) - 1
        half[age] = near[min(place, len(near) - 1)]
    half = np.clip(half, 0.01, 0.5)
    return Levels(0.5 - half, 0.5 + half)
