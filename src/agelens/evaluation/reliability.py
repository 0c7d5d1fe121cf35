"""Check whether a model's certainty is right: probabilities, intervals, uncertainty.

An age label is a whole year, so a distribution gives it a range of quantiles and not one. The
coverage of central intervals counts the part of that range inside (the nonrandomised form of
Czado, Gneiting and Held, 2009), so that calibrated distributions come out even.
"""

import itertools
from typing import Any

import numpy as np

from agelens.evaluation import groups, metrics
from agelens.evaluation.arrays import Floats, Ints, Weights
from agelens.evaluation.bootstrap import (
    divide,
    estimate,
    estimate_mean,
    estimate_means,
    mean,
    tables,
)
from agelens.evaluation.figures import SUBSETS, Faces, face_values
from agelens.inference import uncertainty

BINS = 10
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Nominal coverage of the central intervals that are checked."""
PIT_BINS = 10
KEPT = (0.25, 0.5, 0.75, 1.0)
"""Shares of the faces, the most certain first, whose error is given."""
BY_PREDICTED_AGE = ("age_mae", "age_bias", "interval_coverage", "interval_width")


def measure(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return the calibration of gender, of age, of the uncertainty, and by predicted age.

    All are JSON values; weights (R, N).
    """
    values = face_values(faces)
    predicted_decades = groups.decades(metrics.whole_years(faces.age_median))
    return {
        "gender": _gender(faces, weights),
        "age": _age(faces, weights),
        "doubt": _uncertainty(faces, weights),
        "by_predicted_age": groups.by_group(
            groups.partition(("predicted age",), [predicted_decades]),
            {name: values[name] for name in BY_PREDICTED_AGE},
            weights,
        ),
    }


def _gender(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return a reliability diagram of "female", and accuracy minus confidence."""
    p = faces.female_probability
    place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    _, gap = metrics.calibration_gaps(p, faces.female)
    subsets = {
        name: (first <= faces.age) & (faces.age <= last)
        for name, (first, last) in SUBSETS.items()
        if name != "21-60"
    }
    return {
        "bins": {
            "said": _bin_means(place, p, counts),
            "seen": _bin_means(place, faces.female, counts),
            "faces": counts.tolist(),
        },
        "confidence": estimate_mean(np.maximum(p, 1 - p), weights).as_dict(),
        "accuracy_minus_confidence": {
            name: {
                "faces": int(rows.sum()),
                **estimate_mean(np.where(rows, gap, np.nan), weights).as_dict(),
            }
            for name, rows in subsets.items()
            if rows.any()
        },
    }


def _bin_means(place: Ints, values: Any, counts: Ints) -> list[float | None]:
    means = divide(np.bincount(place, values, minlength=BINS), counts)
    return [None if np.isnan(value) else value for value in means.tolist()]


def _age(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return the coverage of central intervals, and the histogram of the labels' quantiles."""
    below, upto = label_quantiles(faces)
    inside = [_share_inside(below, upto, (1 - level) / 2, (1 + level) / 2) for level in LEVELS]
    coverage = estimate(mean(np.column_stack(inside)), weights)
    edges = itertools.pairwise(np.linspace(0, 1, PIT_BINS + 1))
    return {
        "coverage": [
            {"said": level, **share.as_dict()}
            for level, share in zip(LEVELS, coverage, strict=True)
        ],
        "quantiles_of_labels": [
            float(_share_inside(below, upto, low, high).mean()) for low, high in edges
        ],
    }


def label_quantiles(faces: Faces) -> tuple[Floats, Floats]:
    """Return the mass below and up to each label's year, (N,) each."""
    upto = np.cumsum(faces.probabilities, axis=1, dtype=np.float64)
    upto /= upto[:, -1:]
    rows = np.arange(len(faces))
    below = np.where(faces.age > 0, upto[rows, np.maximum(faces.age - 1, 0)], 0.0)
    return below, upto[rows, faces.age]


def _share_inside(below: Floats, upto: Floats, low: float, high: float) -> Floats:
    """Return the part of each label's range of quantiles that lies between low and high, (N,)."""
    shared = np.clip(np.minimum(upto, high) - np.maximum(below, low), 0, None)
    width = upto - below
    # A label that was given no mass at all is a single quantile.
    single = ((low <= below) & (below <= high)).astype(np.float64)
    part: Floats = np.divide(shared, width, out=single, where=width > 1e-12)
    return part


def _uncertainty(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Compare the predicted probability of an age off by over 10 years with how often it was."""
    predicted = uncertainty.large_error_probability(faces.age_median, faces.probabilities)
    error = np.abs(faces.age_median - faces.age)
    far = (error > uncertainty.LARGE_ERROR).astype(np.float64)
    shares = {"said": predicted, "seen": far, "seen_minus_said": far - predicted}
    order = np.argsort(predicted, kind="stable")
    most_certain = []
    for share in KEPT:
        kept = np.full(len(faces), np.nan)
        rows = order[: max(round(share * len(faces)), 1)]
        kept[rows] = error[rows]
        most_certain.append({"share": share, "age_mae": estimate_mean(kept, weights).as_dict()})
    return {
        "years": uncertainty.LARGE_ERROR,
        **tables(estimate_means(shares, weights)),
        "surest": most_certain,
    }
