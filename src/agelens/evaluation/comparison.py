"""Two models on the same faces: by how much they differ, where, and what they miss alike."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import bootstrap, metrics, simultaneous_intervals
from agelens.evaluation.bootstrap import Weights
from agelens.evaluation.figures import Faces, face_values
from agelens.evaluation.groupings import Group
from agelens.inference import distribution

COMPARED = {
    "age_mae": -1, "age_within_5": 1, "gender_accuracy": 1, "gender_log_loss": -1, "loss": -1,
    "interval_width": 0,
}  # fmt: skip
"""Figures that are compared: 1 where more is better, -1 where less is, 0 where it depends."""

BY_GROUP = ("age_mae", "gender_accuracy")
AGREE = 5.0  # years within which models agree
APART = 15.0  # years from the label, for a label to be doubted


def compare(
    names: Sequence[str],
    faces: Sequence[Faces],
    files: Sequence[str],
    groups: Sequence[Group],
    weights: Weights,
) -> dict[str, Any]:
    """Compare every two of M models on the N faces that all answered, as JSON values.

    A difference is the second model's figure minus the first's. Each has the interval of a
    paired bootstrap (both models weighed by the same resamples, (R, N)).
    """
    values = [face_values(one) for one in faces]
    pairs = []
    for a, b in itertools.combinations(range(len(names)), 2):
        gaps = {name: values[b][name] - values[a][name] for name in COMPARED}
        pairs.append(
            {
                "first": names[a],
                "second": names[b],
                "figures": _differences(gaps, weights, names[a], names[b]),
                "by_group": _by_group(gaps, groups, weights, names[a], names[b]),
                "together": _together(faces[a], faces[b], values[a], values[b], weights),
            }
        )
    return {
        "faces": len(faces[0]),
        "pairs": pairs,
        "doubtful_labels": _doubtful_labels(faces, files),
    }


def _differences(
    gaps: dict[str, NDArray[np.float64]], weights: Weights, first: str, second: str
) -> dict[str, Any]:
    figures = bootstrap.estimate(
        bootstrap.mean(np.column_stack([gaps[name] for name in COMPARED])), weights
    )
    return {
        name: {**figure.table(), "better": better(name, figure, first, second)}
        for name, figure in zip(COMPARED, figures, strict=True)
    }


def better(name: str, gap: bootstrap.Figure, first: str, second: str) -> str | None:
    """Name the better model by the difference of a figure; None where it may be chance."""
    sign = COMPARED[name]
    if not sign or not simultaneous_intervals.excludes_zero(gap):
        return None
    return second if gap.value * sign > 0 else first


def _by_group(
    gaps: dict[str, NDArray[np.float64]],
    groups: Sequence[Group],
    weights: Weights,
    first: str,
    second: str,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"by": group.by, "group": group.name, "faces": int(group.mask.sum()), "figures": {}}
        for group in groups
    ]
    for name in BY_GROUP:
        figures = simultaneous_intervals.in_groups(
            [group.mask for group in groups], gaps[name], weights
        )
        for row, figure in zip(rows, figures, strict=True):
            row["figures"][name] = {
                **figure.table(),
                "better": better(name, figure, first, second),
            }
    return rows


def _together(
    ours: Faces,
    theirs: Faces,
    a: dict[str, NDArray[np.float64]],
    b: dict[str, NDArray[np.float64]],
    weights: Weights,
) -> dict[str, Any]:
    """Tell how alike the errors of two are, and what the plain mean of both would bring."""
    spread = (ours.probabilities + theirs.probabilities) / 2
    female = (ours.female_probability + theirs.female_probability) / 2
    error = np.abs(distribution.median(spread) - ours.age)
    right = ((female >= 0.5) == ours.female).astype(np.float64)
    half = a if a["age_mae"].mean() <= b["age_mae"].mean() else b
    gender_half = a if a["gender_accuracy"].mean() >= b["gender_accuracy"].mean() else b
    figures = bootstrap.estimate(
        bootstrap.mean(
            np.column_stack(
                [error, error - half["age_mae"], right, right - gender_half["gender_accuracy"]]
            )
        ),
        weights,
    )
    words = ("age_mae", "age_mae_gain", "gender_accuracy", "gender_accuracy_gain")
    return {
        "error_correlation": _correlation(a["age_bias"], b["age_bias"]),
        **{word: figure.table() for word, figure in zip(words, figures, strict=True)},
    }


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    if a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _doubtful_labels(faces: Sequence[Faces], files: Sequence[str]) -> dict[str, Any]:
    """Find faces on which all models agree with each other and none with the label."""
    said = np.stack([one.age_median for one in faces])
    label = faces[0].age
    agreed = said.max(axis=0) - said.min(axis=0) <= AGREE
    apart = np.abs(said - label).min(axis=0) > APART
    rows = np.flatnonzero(agreed & apart)
    middle = np.median(said, axis=0)
    rows = rows[np.argsort(-np.abs(middle - label)[rows], kind="stable")]
    return {
        "agree_within": AGREE,
        "apart_over": APART,
        "faces": len(rows),
        "share": len(rows) / max(len(label), 1),
        "worst": [
            {
                "file": files[row],
                "age": int(label[row]),
                "said_age": float(metrics.whole_years(middle[row])),
            }
            for row in rows[:16].tolist()
        ],
    }
