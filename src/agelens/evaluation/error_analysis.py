"""Analyse the errors of a model: confusion, largest errors, and whether its certainty is right.

An age label is a whole year, so a distribution gives it a range of quantiles and not one. The
coverage of central intervals counts the part of that range inside (the nonrandomised form of
Czado, Gneiting and Held, 2009), so that calibrated distributions come out even.
"""

import itertools
from typing import Any

import numpy as np
import polars as pl

from agelens.evaluation import bootstrap, groups, metrics
from agelens.evaluation.bootstrap import Floats, Ints, Weights, divide, estimate_mean
from agelens.evaluation.figures import SUBSETS, Faces, face_values
from agelens.inference.distribution import LARGE_ERROR, large_error_probability

SHOWN = 16  # faces of each kind of mistake
ERROR_LEVELS = (0.5, 0.75, 0.9, 0.95)
GENDERS = ("female", "male")
AGE_GROUPS = tuple(
    f"{first}+" if (first, last) == metrics.FAIRFACE[-1] else f"{first}-{last}"
    for first, last in metrics.FAIRFACE
)
BINS = 10
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # coverage of central intervals
KEPT = (0.25, 0.5, 0.75, 1.0)  # shares of the faces, the most certain first
BY_PREDICTED_AGE = ("age_mae", "age_bias", "interval_coverage", "interval_width")


def confusion(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return the confusion matrices of gender and of FairFace's age groups, as JSON values.

    `counts` has a row for each label and a column for each answer; `shares` are of the row.
    `one_off` is the share of faces predicted into their age group or one beside it.
    """
    label = metrics.age_group(faces.age, metrics.FAIRFACE)
    predicted = metrics.age_group(faces.age_median, metrics.FAIRFACE, nearest=True)
    male = faces.female_probability < 0.5
    wrong = ~male != faces.female
    young = int((wrong & (faces.age < 13)).sum())
    return {
        "gender": _matrix((~faces.female).astype(int), male.astype(int), GENDERS),
        "age_groups": _matrix(label, predicted, AGE_GROUPS),
        "one_off": estimate_mean(np.abs(label - predicted) <= 1, weights).as_dict(),
        "wrong_genders": {
            "faces": int(wrong.sum()),
            "under_13": young,
            "share_under_13": float(young / wrong.sum()) if wrong.any() else None,
        },
    }


def _matrix(label: Ints, predicted: Ints, names: tuple[str, ...]) -> dict[str, Any]:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (label, predicted), 1)
    shares = map(_none_for_nan, divide(counts, counts.sum(axis=1, keepdims=True)))
    return {"names": list(names), "counts": counts.tolist(), "shares": list(shares)}


def _none_for_nan(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def largest_errors(samples: pl.DataFrame, faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return quantiles of the age error, and the worst ages and genders, as JSON values."""
    error = np.abs(faces.age_median - faces.age)
    wrong = (faces.female_probability >= 0.5) != faces.female
    confidence = np.maximum(faces.female_probability, 1 - faces.female_probability)
    ages = np.argsort(-error, kind="stable")[:SHOWN]
    order = np.argsort(np.where(wrong, -confidence, 1), kind="stable")
    genders = order[: min(SHOWN, int(wrong.sum()))]

    def describe(row: int) -> dict[str, Any]:
        return {
            "file": samples["file"][row],
            "age": int(faces.age[row]),
            "gender": samples["gender"][row],
            "said_age": float(faces.age_median[row]),
            "low": float(faces.age_low[row]),
            "high": float(faces.age_high[row]),
            "female_probability": float(faces.female_probability[row]),
        }

    quantiles = [
        {"level": one, **bootstrap.estimate(bootstrap.quantile(error, one), weights)[0].as_dict()}
        for one in ERROR_LEVELS
    ]
    return {
        "error_quantiles": quantiles,
        "far_off": {
            "years": LARGE_ERROR,
            **estimate_mean(error > LARGE_ERROR, weights).as_dict(),
        },
        "worst_ages": [describe(row) for row in ages.tolist()],
        "worst_genders": [describe(row) for row in genders.tolist()],
    }


def reliability(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return the calibration of gender, age and uncertainty, and by predicted age, as JSON."""
    predicted = groups.partition([groups.decades(metrics.whole_years(faces.age_median))])
    all_values = face_values(faces)
    values = {name: all_values[name] for name in BY_PREDICTED_AGE}
    rows = groups.group_rows(("predicted age",), predicted, values, weights)
    return {
        "gender": _gender(faces, weights),
        "age": _age(faces, weights),
        "doubt": _uncertainty(faces, weights),
        "by_predicted_age": [row for row, _ in rows],
    }


def _gender(faces: Faces, weights: Weights) -> dict[str, Any]:
    p = faces.female_probability
    place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    means = {
        name: _none_for_nan(divide(np.bincount(place, values, minlength=BINS), counts))
        for name, values in (("said", p), ("seen", faces.female))
    }
    _, gap = metrics.calibration_gaps(p, faces.female)
    differences = {}
    for name in ("all", "13 and older", "under 13"):
        first, last = SUBSETS[name]
        rows = (first <= faces.age) & (faces.age <= last)
        if rows.any():
            difference = estimate_mean(np.where(rows, gap, np.nan), weights)
            differences[name] = {"faces": int(rows.sum()), **difference.as_dict()}
    return {
        "bins": {**means, "faces": counts.tolist()},
        "confidence": estimate_mean(np.maximum(p, 1 - p), weights).as_dict(),
        "accuracy_minus_confidence": differences,
    }


def _age(faces: Faces, weights: Weights) -> dict[str, Any]:
    upto = np.cumsum(faces.probabilities, axis=1, dtype=np.float64)
    upto = np.pad(upto / upto[:, -1:], ((0, 0), (1, 0)))  # the mass below each year, and in the end
    rows = np.arange(len(faces))
    start, end = upto[rows, faces.age], upto[rows, faces.age + 1]  # the quantiles of each label

    def share_inside(low: float, high: float) -> Floats:
        shared = np.clip(np.minimum(end, high) - np.maximum(start, low), 0, None)
        # A label that was given no mass at all is a single quantile.
        single = ((low <= start) & (start <= high)).astype(np.float64)
        return np.asarray(np.divide(shared, end - start, out=single, where=end - start > 1e-12))

    inside = [share_inside((1 - level) / 2, (1 + level) / 2) for level in LEVELS]
    coverage = bootstrap.estimate(bootstrap.mean(np.column_stack(inside)), weights)
    edges = itertools.pairwise(np.linspace(0, 1, BINS + 1))
    return {
        "coverage": [
            {"said": said, **seen.as_dict()} for said, seen in zip(LEVELS, coverage, strict=True)
        ],
        "quantiles_of_labels": [float(share_inside(low, high).mean()) for low, high in edges],
    }


def _uncertainty(faces: Faces, weights: Weights) -> dict[str, Any]:
    predicted = large_error_probability(faces.age_median, faces.probabilities)
    error = np.abs(faces.age_median - faces.age)
    far = (error > LARGE_ERROR).astype(np.float64)
    shares = {"said": predicted, "seen": far, "seen_minus_said": far - predicted}
    order = np.argsort(predicted, kind="stable")
    most_certain = []
    for share in KEPT:
        kept = np.full(len(faces), np.nan)
        rows = order[: max(round(share * len(faces)), 1)]
        kept[rows] = error[rows]
        most_certain.append({"share": share, "age_mae": estimate_mean(kept, weights).as_dict()})
    return {
        "years": LARGE_ERROR,
        **bootstrap.tables(bootstrap.estimate_means(shares, weights)),
        "surest": most_certain,
    }
