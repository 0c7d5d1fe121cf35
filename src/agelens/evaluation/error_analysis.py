"""Confusion matrices, quantiles of the age error, and the faces with the largest errors."""

from typing import Any

import numpy as np
import polars as pl

from agelens.evaluation import metrics
from agelens.evaluation.arrays import Ints, Weights
from agelens.evaluation.bootstrap import divide, estimate, estimate_mean, quantile
from agelens.evaluation.figures import Faces
from agelens.inference import uncertainty

SHOWN = 16
"""Faces listed for each kind of mistake."""
LEVELS = (0.5, 0.75, 0.9, 0.95)
GENDERS = ("female", "male")
AGE_GROUPS = tuple(
    f"{first}+" if (first, last) == metrics.FAIRFACE[-1] else f"{first}-{last}"
    for first, last in metrics.FAIRFACE
)


def confusion(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return the confusion matrices of gender and of FairFace's age groups, as JSON values.

    `counts` has a row for each label and a column for each answer; `shares` are of the row.
    `one_off` is the share of faces predicted into their age group or one beside it.
    """
    label = metrics.age_group(faces.age, metrics.FAIRFACE)
    predicted = metrics.age_group(faces.age_median, metrics.FAIRFACE, nearest=True)
    male = faces.female_probability < 0.5
    wrong = ~male != faces.female
    young = wrong & (faces.age < 13)
    return {
        "gender": _matrix((~faces.female).astype(int), male.astype(int), GENDERS),
        "age_groups": _matrix(label, predicted, AGE_GROUPS),
        "one_off": estimate_mean(np.abs(label - predicted) <= 1, weights).as_dict(),
        "wrong_genders": {
            "faces": int(wrong.sum()),
            "under_13": int(young.sum()),
            "share_under_13": float(young.sum() / wrong.sum()) if wrong.any() else None,
        },
    }


def _matrix(label: Ints, predicted: Ints, names: tuple[str, ...]) -> dict[str, Any]:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (label, predicted), 1)
    shares = divide(counts, counts.sum(axis=1, keepdims=True)).tolist()
    return {
        "names": list(names),
        "counts": counts.tolist(),
        "shares": [[None if np.isnan(share) else share for share in row] for row in shares],
    }


def largest_errors(samples: pl.DataFrame, faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return quantiles of the age error, and the worst ages and genders, as JSON values."""
    error = np.abs(faces.age_median - faces.age)
    wrong = (faces.female_probability >= 0.5) != faces.female
    confidence = np.maximum(faces.female_probability, 1 - faces.female_probability)
    ages = np.argsort(-error, kind="stable")[:SHOWN]
    order = np.argsort(np.where(wrong, -confidence, 1), kind="stable")
    genders = order[: min(SHOWN, int(wrong.sum()))]
    return {
        "error_quantiles": [
            {"level": level, **estimate(quantile(error, level), weights)[0].as_dict()}
            for level in LEVELS
        ],
        "far_off": {
            "years": uncertainty.LARGE_ERROR,
            **estimate_mean(error > uncertainty.LARGE_ERROR, weights).as_dict(),
        },
        "worst_ages": [_face(samples, faces, row) for row in ages.tolist()],
        "worst_genders": [_face(samples, faces, row) for row in genders.tolist()],
    }


def _face(samples: pl.DataFrame, faces: Faces, row: int) -> dict[str, Any]:
    return {
        "file": samples["file"][row],
        "age": int(faces.age[row]),
        "gender": samples["gender"][row],
        "said_age": float(faces.age_median[row]),
        "low": float(faces.age_low[row]),
        "high": float(faces.age_high[row]),
        "female_probability": float(faces.female_probability[row]),
    }
