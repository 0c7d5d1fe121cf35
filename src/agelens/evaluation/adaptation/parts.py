"""The parts of an adaptation: a monotone age map, interval levels, and a line for the gender.

Each is a function of a model's outputs with few parameters, so that some dozen faces can fit it.
"""

from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.special import expit, logit

from agelens.evaluation import metrics
from agelens.evaluation.bootstrap import Floats
from agelens.evaluation.calibration import COVERAGE, LEAST_TAIL, MIN_GENDER_PROBABILITY, fit_scaling
from agelens.evaluation.figures import Faces
from agelens.evaluation.verdicts import ENOUGH_OF_A_GENDER
from agelens.inference import distribution
from agelens.inference.distribution import AGES, Levels

KNOTS = np.array([0.0, 4, 8, 13, 18, 25, 35, 50, 65, AGES - 1])  # years; the map is linear between
_YEARS = 5.0  # how far a label is off by chance: what the priors are weighed against
_SHIFT, _SLOPE = 4.0, 0.3  # prior deviations of the map's ages from KNOTS, of its slopes from 1
_BOUNDS = (-30.0, 0.1), (30.0, 4.0)  # of the first age and the slopes
_REWEIGHTINGS = 8


@dataclass(frozen=True, slots=True, eq=False)
class LabelledOutputs:
    """What a model gave for N faces, and their labels; NaN where a label is not known."""

    age_probabilities: NDArray[np.floating]  # (N, 117)
    female_probability: Floats  # (N,)
    age: Floats  # (N,), whole years
    female: Floats  # (N,), 1 or 0
    people: NDArray[Any]  # (N,): which faces are of one person

    def __len__(self) -> int:
        return len(self.age)

    def take(self, rows: NDArray[np.generic]) -> "LabelledOutputs":
        """Return some of the faces, by row numbers or a mask."""
        return LabelledOutputs(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """Functions of a model's outputs; the default changes nothing."""

    ages: Floats = field(default_factory=KNOTS.copy)  # (10,), ascending: what KNOTS become, years
    slope: float = 1.0  # times the gender logit
    offset: float = 0.0  # then added to it
    levels: Levels | None = None  # None: the model's own

    def matrix(self) -> Floats:
        """Return where the mass of each whole age goes, (117, 117) with rows that add up to 1."""
        # The mass of age k lies evenly over [k - 0.5, k + 0.5], and so it does on the other side.
        edges = np.arange(AGES + 1) - 0.5
        moved = np.clip(np.interp(edges, KNOTS, self.ages), edges[0], edges[-1])
        pairs = ([low, max(high, low + 1e-6)] for low, high in pairwise(moved))
        below = np.array([np.interp(edges, pair, [0, 1], left=0, right=1) for pair in pairs])
        below[:, -1] = 1
        return np.diff(below, axis=1)

    def age_probabilities(self, probabilities: NDArray[np.floating]) -> Floats:
        """Return the adapted distributions (N, 117)."""
        return np.asarray(probabilities @ self.matrix())

    def female_probability(self, probability: NDArray[np.floating]) -> Floats:
        """Return the adapted probabilities of female (N,)."""
        lowest = MIN_GENDER_PROBABILITY
        p = np.clip(probability.astype(np.float64), lowest, 1 - lowest)
        return np.asarray(expit(logit(p) * self.slope + self.offset))

    def faces(self, outputs: LabelledOutputs, levels: Levels) -> Faces:
        """Return the adapted predictions of N faces, given the model's own levels."""
        return Faces.from_distributions(
            np.nan_to_num(outputs.age), np.nan_to_num(outputs.female) > 0,  # unknown ones are 0
            self.age_probabilities(outputs.age_probabilities).astype(np.float32),
            self.female_probability(outputs.female_probability), self.levels or levels,
        )  # fmt: skip


def fit(parts: tuple[str, ...], outputs: LabelledOutputs) -> Adaptation:
    """Fit some of the parts "ages", "intervals" and "gender" to labelled faces."""
    known = outputs.take(np.isfinite(outputs.age))
    spread, age = known.age_probabilities, known.age
    adapted = Adaptation()
    if "ages" in parts:
        adapted = Adaptation(fit_age_map(distribution.median(spread), age))
    if "intervals" in parts:
        levels = fit_levels(adapted.age_probabilities(spread), age, known.people)
        adapted = replace(adapted, levels=levels)
    known = outputs.take(np.isfinite(outputs.female))
    female = known.female.astype(np.int64)
    if "gender" in parts and min(female.sum(), (1 - female).sum()) >= ENOUGH_OF_A_GENDER:
        uniform = np.full((len(female), 2), 0.5)
        line = fit_scaling(uniform, known.female_probability, np.zeros_like(female), female)
        adapted = replace(adapted, slope=line.gender, offset=line.bias)
    return adapted


def fit_age_map(predicted: Floats, age: Floats) -> Floats:
    """Fit a monotone map of predicted ages to labels, years (N,); return what KNOTS become.

    The map is linear between KNOTS. It minimises about the absolute error (iteratively reweighted
    least squares). Priors hold its ages near KNOTS and its slopes near 1, so that few faces move
    it little, and ages without faces not at all.
    """
    step, ones = np.diff(KNOTS), np.ones(len(KNOTS) - 1)
    # The unknowns are the first age and the slopes.
    basis = np.c_[np.ones(len(age)), np.clip(predicted[:, None] - KNOTS[:-1], 0, step)]
    ages = np.c_[np.ones(len(KNOTS)), np.tril(np.ones((len(KNOTS), len(step))), -1) * step]
    prior = np.r_[ages / _SHIFT, np.eye(len(KNOTS))[1:] / _SLOPE]
    expected = np.r_[KNOTS / _SHIFT, ones / _SLOPE]
    bounds = [np.r_[first, ones * slope] for first, slope in _BOUNDS]
    weights, unknowns = np.ones(len(age)) / _YEARS, np.empty(0)
    for _ in range(_REWEIGHTINGS):
        rows = np.r_[basis * weights[:, None], prior]
        unknowns = lsq_linear(rows, np.r_[age * weights, expected], bounds).x
        off = np.abs(basis @ unknowns - age)
        weights = 1 / np.sqrt(_YEARS * np.maximum(off, _YEARS / 5))
    return np.asarray(ages @ unknowns)


def fit_levels(probabilities: Floats, age: Floats, people: NDArray[Any]) -> Levels:
    """Fit one pair of levels for all ages whose intervals hold 9 labels in 10 of other people.

    Takes distributions (N, 117), labels and the person of each face (N,). The pair lies around the
    median. It holds as many labels as conformal prediction asks for (Vovk et al., 2005), which
    counts people here, not faces: the faces of one person err alike.
    """
    persons = len(np.unique(people))
    needed = min(np.ceil((persons + 1) * COVERAGE) / persons, 1.0)
    narrow, wide = 0.0, 0.5 - LEAST_TAIL
    for _ in range(14):
        half = (narrow + wide) / 2
        ends = Levels.between(0.5 - half, 0.5 + half).ends(probabilities)
        enough = metrics.interval_hits(*ends, age).mean() >= needed
        narrow, wide = (narrow, half) if enough else (half, wide)
    return Levels.between(0.5 - wide, 0.5 + wide)
