"""Compare models on the same faces: by how much they differ, where, and what they miss alike."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from agelens.evaluation import metrics, simultaneous_intervals
from agelens.evaluation.arrays import Floats, Weights
from agelens.evaluation.bootstrap import Estimate, estimate, mean
from agelens.evaluation.figures import Faces, face_values
from agelens.evaluation.groups import Group
from agelens.inference import distribution

COMPARED = {
    "age_mae": -1, "age_within_5": 1, "gender_accuracy": 1, "gender_log_loss": -1, "loss": -1,
    "interval_width": 0,
}  # fmt: skip
"""Figures that are compared: 1 where more is better, -1 where less is, 0 where it depends."""
BY_GROUP = ("age_mae", "gender_accuracy")
AGREE_YEARS = 5.0  # within which models agree
APART_YEARS = 15.0  # from the label, for a label to be suspected
SHOWN = 16

Values = dict[str, Floats]


def compare(
    names: Sequence[str],
    faces: Sequence[Faces],
    files: Sequence[str],
    groups: Sequence[Group],
    weights: Weights,
) -> dict[str, Any]:
    """Compare every two of M models on the N faces that all answered, as JSON values.

    A difference is the second model's figure minus the first's. Each has the interval of a
    paired bootstrap (both models weighted by the same resamples, (R, N)).
    """
    values = [face_values(one) for one in faces]
    pairs = []
    for a, b in itertools.combinations(range(len(names)), 2):
        gaps = {name: values[b][name] - values[a][name] for name in COMPARED}
        pair = names[a], names[b]
        pairs.append(
            {
                "first": names[a],
                "second": names[b],
                "figures": _differences(gaps, weights, pair),
                "by_group": _by_group(gaps, groups, weights, pair),
                "together": _ensemble(faces[a], faces[b], values[a], values[b], weights),
            }
        )
    return {
        "faces": len(faces[0]),
        "pairs": pairs,
        "doubtful_labels": _suspect_labels(faces, files),
    }


def _differences(gaps: Values, weights: Weights, pair: tuple[str, str]) -> dict[str, Any]:
    means = estimate(mean(np.column_stack([gaps[name] for name in COMPARED])), weights)
    return {
        name: {**gap.as_dict(), "better": better_model(name, gap, *pair)}
        for name, gap in zip(COMPARED, means, strict=True)
    }


def better_model(name: str, gap: Estimate, first: str, second: str) -> str | None:
    """Name the better model by the difference of a figure; None where it may be chance."""
    sign = COMPARED[name]
    if not sign or not simultaneous_intervals.excludes_zero(gap):
        return None
    return second if gap.value * sign > 0 else first


def _by_group(
    gaps: Values, groups: Sequence[Group], weights: Weights, pair: tuple[str, str]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"by": group.by, "group": group.name, "faces": int(group.mask.sum()), "figures": {}}
        for group in groups
    ]
    for name in BY_GROUP:
        masks = [group.mask for group in groups]
        means = simultaneous_intervals.group_means(masks, gaps[name], weights)
        for row, gap in zip(rows, means, strict=True):
            row["figures"][name] = {**gap.as_dict(), "better": better_model(name, gap, *pair)}
    return rows


def _ensemble(ours: Faces, theirs: Faces, a: Values, b: Values, weights: Weights) -> dict[str, Any]:
    """Return how alike the errors of two models are, and what the plain mean of both brings."""
    female_probability = (ours.female_probability + theirs.female_probability) / 2
    error = np.abs(distribution.median((ours.probabilities + theirs.probabilities) / 2) - ours.age)
    correct = ((female_probability >= 0.5) == ours.female).astype(np.float64)
    best_error = min(a["age_mae"], b["age_mae"], key=np.mean)
    best_correct = max(a["gender_accuracy"], b["gender_accuracy"], key=np.mean)
    names = ("age_mae", "age_mae_gain", "gender_accuracy", "gender_accuracy_gain")
    columns = np.column_stack([error, error - best_error, correct, correct - best_correct])
    means = estimate(mean(columns), weights)
    return {
        "error_correlation": _correlation(a["age_bias"], b["age_bias"]),
        **{name: figure.as_dict() for name, figure in zip(names, means, strict=True)},
    }


def _correlation(a: Floats, b: Floats) -> float | None:
    if a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _suspect_labels(faces: Sequence[Faces], files: Sequence[str]) -> dict[str, Any]:
    """Find faces on which all models agree with each other and none with the label."""
    predicted = np.stack([one.age_median for one in faces])
    label = faces[0].age
    agreed = predicted.max(axis=0) - predicted.min(axis=0) <= AGREE_YEARS
    apart = np.abs(predicted - label).min(axis=0) > APART_YEARS
    rows = np.flatnonzero(agreed & apart)
    middle = np.median(predicted, axis=0)
    rows = rows[np.argsort(-np.abs(middle - label)[rows], kind="stable")]
    return {
        "agree_within": AGREE_YEARS,
        "apart_over": APART_YEARS,
        "faces": len(rows),
        "share": len(rows) / max(len(label), 1),
        "worst": [
            {
                "file": files[row],
                "age": int(label[row]),
                "said_age": float(metrics.whole_years(middle[row])),
            }
            for row in rows[:SHOWN].tolist()
        ],
    }
