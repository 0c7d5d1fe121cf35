"""Fit on validation faces what calibrates a model: temperatures, and levels of its intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logit, logsumexp

from agelens.evaluation.bootstrap import Floats
from agelens.inference import distribution
from agelens.inference.distribution import AGES, Levels

COVERAGE = 0.9
BANDWIDTH = 3.0
"""Years: how fast a validation face's weight in the levels of an age falls with its distance."""
MIN_EFFECTIVE_FACES = 150.0
"""Effective sample size (Kish, 1965) of the weights; where it is smaller, the bandwidth grows."""
MIN_GENDER_PROBABILITY = 1e-7
_MIN_AGE_PROBABILITY = 1e-30  # of which a logarithm is taken


@dataclass(frozen=True, slots=True)
class Scaling:
    """Temperature scaling of the age (Guo et al., 2017), Platt scaling (1999) of the gender."""

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

    Minimises the log loss of the label; ages in whole years, female 0 or 1.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _MIN_AGE_PROBABILITY))
    rows = np.arange(len(ages))

    def age_loss(log_scale: float) -> float:
        scaled = logits * np.exp(log_scale)
        return float((logsumexp(scaled, axis=1) - scaled[rows, ages]).mean())

    p = female_probability.astype(np.float64)
    gender_logit = logit(np.clip(p, MIN_GENDER_PROBABILITY, 1 - MIN_GENDER_PROBABILITY))
    sign = np.where(female > 0, 1.0, -1.0)

    def gender_loss(line: Floats) -> float:
        return float(np.logaddexp(0, -sign * (line[0] * gender_logit + line[1])).mean())

    age = minimize_scalar(age_loss, bounds=(np.log(0.2), np.log(5)), method="bounded")
    bounds = [(0.2, 5), (-2, 2)]
    line = minimize(gender_loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=bounds)
    return Scaling(float(np.exp(age.x)), float(line.x[0]), float(line.x[1]))


def scale_logits(probabilities: NDArray[np.floating], scale: float) -> Floats:
    """Return the distributions (N, 117) whose logits are `scale` times those of the given ones."""
    powered = np.power(probabilities.astype(np.float64), scale)
    scaled: Floats = powered / powered.sum(axis=1, keepdims=True)
    return scaled


def fit_levels(
    probabilities: NDArray[np.floating],
    ages: NDArray[np.integer],
    coverage: float = COVERAGE,
    bandwidth: float = BANDWIDTH,
) -> Levels:
    """Fit the levels of intervals that hold the label in a share `coverage` of faces at every age.

    Takes distributions (N, 117) and labels in whole years (N,). The levels of each age span the
    conformal quantile (Vovk et al., 2005) of how far labels lie from the middle of their
    distributions. Faces are weighted by a normal curve of their distance in age (localised
    conformal prediction: Guan, 2023), so that the levels change smoothly from age to age. The
    condition is the label, not the prediction, so that the old, whose age is underestimated, are
    covered too. Whether a label is held is decided as in `metrics.interval_hits`: ends count by
    the year they are in.
    """
    before = distribution.below(probabilities, ages - 1)
    after = distribution.below(probabilities, ages + 1)
    scores = np.maximum(0, np.maximum(before - 0.5, 0.5 - after))
    order = np.argsort(scores, kind="stable")
    half = np.empty(AGES)
    for age in range(AGES):
        away, weights = np.abs(ages - age), np.ones(len(ages))
        width, effective = bandwidth, 0.0
        while effective < min(MIN_EFFECTIVE_FACES, 0.9 * len(ages)):
            weights = np.exp(-0.5 * ((away - away.min()) / width) ** 2)
            effective = float(weights.sum() ** 2 / (weights**2).sum())
            width *= 1.25
        held = np.cumsum(weights[order]) / (weights.sum() * (1 + 1 / effective))
        half[age] = scores[order][min(int(np.searchsorted(held, coverage)), len(scores) - 1)]
    half = np.clip(half, 0.01, 0.5)
    return Levels(0.5 - half, 0.5 + half)
