"""Fit on validation faces what calibrates a model: temperatures, and levels of its intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logit, logsumexp

from agelens.evaluation.bootstrap import Floats
from agelens.inference.distribution import AGES, TAIL, Levels, masses

COVERAGE = 0.9  # share of people whose age an interval is to contain
FITTED_COVERAGE = 0.89  # at each age; with whole years inside it comes to COVERAGE
LEAST_TAIL = 1e-4  # with none at all an interval would hold every age
BANDWIDTH = 3.0  # years over which a validation face's weight in the levels of an age falls
MIN_EFFECTIVE_FACES = 150.0  # effective sample size (Kish, 1965) below which the bandwidth grows
MIN_GENDER_PROBABILITY = 1e-7
_MIN_AGE_PROBABILITY = 1e-30  # of which a logarithm is taken


@dataclass(frozen=True, slots=True)
class Scaling:
    """Temperature scaling of the age (Guo et al., 2017), Platt scaling (1999) of the gender."""

    age: float = 1.0  # 1 / temperature, times the age logits
    gender: float = 1.0  # times the gender logit
    bias: float = 0.0  # then added to it


def fit_scaling(
    probabilities: NDArray[np.floating], female_probability: NDArray[np.floating],
    ages: NDArray[np.integer], female: NDArray[np.integer],
) -> Scaling:  # fmt: skip
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
    return np.asarray(powered / powered.sum(axis=1, keepdims=True))


def fit_levels(
    probabilities: NDArray[np.floating], ages: NDArray[np.integer],
    coverage: float = FITTED_COVERAGE,
) -> Levels:  # fmt: skip
    """Fit the levels of intervals that hold the label in a share `coverage` of faces at every age.

    Takes distributions (N, 117) and labels in whole years (N,). The levels leave out a mass of
    TAIL on either side, or less at ages where labels lie outside more often: there they span the
    conformal quantile (Vovk et al., 2005) of how far labels lie from the middle of their
    distributions. Faces are weighted by a normal curve of their distance in age (localised
    conformal prediction: Guan, 2023). No age gets a narrower interval for labels that heap
    there, since such levels fail as soon as the pictures change.
    """
    rows = np.arange(len(ages))
    upto, before = (mass[rows, ages] for mass in masses(probabilities))
    scores = np.maximum(0, np.maximum(0.5 - upto, before - 0.5))
    order = np.argsort(scores, kind="stable")
    half = np.empty(AGES)
    for age in range(AGES):
        away, weights = np.abs(ages - age), np.ones(len(ages))
        width, effective = BANDWIDTH, 0.0
        while effective < min(MIN_EFFECTIVE_FACES, 0.9 * len(ages)):
            weights = np.exp(-0.5 * ((away - away.min()) / width) ** 2)
            effective = float(weights.sum() ** 2 / (weights**2).sum())
            width *= 1.25
        held = np.cumsum(weights[order]) / (weights.sum() * (1 + 1 / effective))
        half[age] = scores[order][min(int(np.searchsorted(held, coverage)), len(scores) - 1)]
    half = np.clip(half, 0.5 - TAIL, 0.5 - LEAST_TAIL)
    return Levels(0.5 - half, 0.5 + half)
