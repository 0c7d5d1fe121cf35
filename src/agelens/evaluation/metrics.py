"""The metrics of the field, each from arrays of one value per face."""

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.bootstrap import Floats, Ints, Mask
from agelens.inference.distribution import AGES, mean

Groups = tuple[tuple[int, int], ...]  # first and last whole year of each, both included, ascending

ADIENCE: Groups = (  # Eidinger, Enbar and Hassner, 2014; the gaps are in no group
    (0, 2), (4, 6), (8, 13), (15, 20), (25, 32), (38, 43), (48, 53), (60, AGES - 1),
)  # fmt: skip
FAIRFACE: Groups = (  # Karkkainen and Joo, 2021
    (0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, AGES - 1),
)  # fmt: skip

LABEL_SIGMA = 2.0  # years; as in the published recipes, like the weight below
EXPECTATION_WEIGHT = 0.25
ECE_BINS = 15
MIN_PROBABILITY = 1e-7  # a distribution stored in single precision may have lost the rest


def age_mae(predicted: ArrayLike, true: ArrayLike) -> float:
    """Return the mean absolute error of age, in years."""
    return float(np.abs(_error(predicted, true)).mean())


def age_bias(predicted: ArrayLike, true: ArrayLike) -> float:
    """Return the mean signed error of age, in years; above 0: predicted too old."""
    return float(_error(predicted, true).mean())


def whole_years(predicted: ArrayLike) -> Floats:
    """Round ages to whole years; half a year rounds up."""
    return np.asarray(np.floor(np.asarray(predicted, np.float64) + 0.5))


def cumulative_score(predicted: ArrayLike, true: ArrayLike, years: int) -> float:
    """Return CS@k: the share of faces whose predicted whole age is within k years of the label."""
    return float((np.abs(whole_years(predicted) - np.asarray(true)) <= years).mean())


def age_group(ages: ArrayLike, groups: Groups, *, nearest: bool = False) -> Ints:
    """Return the index of each age's group; -1 in a gap, or with `nearest` the nearest group.

    Ages are rounded to whole years first. Between two equally near groups the younger wins.
    """
    years = whole_years(ages)[..., None]
    first, last = (np.array(side) for side in zip(*groups, strict=True))
    away = np.maximum(np.maximum(first - years, years - last), 0)
    place: Ints = away.argmin(axis=-1)
    return place if nearest else np.where(away.min(axis=-1) > 0, -1, place)


def age_group_hits(predicted: ArrayLike, true: ArrayLike, groups: Groups) -> Floats:
    """Return 1 where the predicted age falls into the label's group, else 0.

    NaN where the label is in no group: such faces do not count.
    """
    label = age_group(true, groups)
    hit = (age_group(predicted, groups, nearest=True) == label).astype(np.float64)
    return np.where(label < 0, np.nan, hit)


def age_losses(probabilities: ArrayLike, true: ArrayLike) -> Floats:
    """Return the age loss of each face, (N,), of distributions (N, 117) and ages (N,).

    It is the cross-entropy to a normal curve of 2 years around the label (Geng et al., 2013),
    plus a quarter of the smooth L1 error of the mean, as in the published recipes.
    """
    p, ages = np.asarray(probabilities, np.float64), np.asarray(true, np.int64)
    grid = np.arange(AGES)
    curves = np.exp(-((grid - grid[:, None]) ** 2) / (2 * LABEL_SIGMA**2))
    curves /= curves.sum(axis=1, keepdims=True)
    cross_entropy = -(curves[ages] * np.log(np.maximum(p, MIN_PROBABILITY))).sum(axis=1)
    off = np.abs(mean(p) - ages)
    smooth_l1 = np.where(off < 1, off**2 / 2, off - 0.5)
    return np.asarray(cross_entropy + EXPECTATION_WEIGHT * smooth_l1)


def gender_losses(female_probability: ArrayLike, female: ArrayLike) -> Floats:
    """Return the log loss of gender of each face, in nats, (N,); `female` is true or false."""
    p = np.asarray(female_probability, np.float64)
    right = np.where(np.asarray(female, bool), p, 1 - p)
    return np.asarray(-np.log(np.maximum(right, MIN_PROBABILITY)))


def gender_accuracy(female_probability: ArrayLike, female: ArrayLike) -> float:
    """Return the share of faces whose likelier gender is the label's."""
    predicted = np.asarray(female_probability, np.float64) >= 0.5
    return float((predicted == np.asarray(female, bool)).mean())


def interval_hits(low: ArrayLike, high: ArrayLike, true: ArrayLike) -> Mask:
    """Return for each face whether low <= age <= high, where age is whole years reached."""
    ages = np.floor(true)
    return np.asarray((np.asarray(low) <= ages) & (ages <= np.asarray(high)))


def interval_coverage(low: ArrayLike, high: ArrayLike, true: ArrayLike) -> float:
    """Return the share of true ages inside [low, high], as `interval_hits` counts them."""
    return float(interval_hits(low, high, true).mean())


def calibration_gaps(
    probability: ArrayLike, outcome: ArrayLike, bins: int = ECE_BINS
) -> tuple[Ints, Floats]:
    """Return each face's confidence bin, and its accuracy (0 or 1) minus its confidence.

    Confidence is the likelier side's probability; bins are of equal width over 0 to 1.
    """
    p = np.asarray(probability, np.float64)
    right = np.asarray(outcome, bool) == (p >= 0.5)
    confidence = np.maximum(p, 1 - p)
    return np.minimum((confidence * bins).astype(np.int64), bins - 1), right - confidence


def expected_calibration_error(
    probability: ArrayLike, outcome: ArrayLike, bins: int = ECE_BINS
) -> float:
    """Return the ECE over equal-width bins of confidence (Guo et al., 2017)."""
    place, gap = calibration_gaps(probability, outcome, bins)
    return float(np.abs(np.bincount(place, gap, minlength=bins)).sum() / len(place))


def _error(predicted: ArrayLike, true: ArrayLike) -> Floats:
    a, b = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if a.shape != b.shape or a.size == 0:
        raise ValueError(
            f"{a.shape} predictions for {b.shape} labels: expected as many, at least one"
        )
    return np.asarray(a - b)
