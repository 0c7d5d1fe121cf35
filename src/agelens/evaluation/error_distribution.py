"""How large errors get, and where the largest are."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.evaluation.bootstrap import Draws, Weights, estimate, mean
from agelens.evaluation.figures import Faces
from agelens.inference import uncertainty

SHOWN = 16
"""Faces listed for each kind of mistake."""
LEVELS = (0.5, 0.75, 0.9, 0.95)


def measure(samples: pl.DataFrame, faces: Faces, weights: Weights) -> dict[str, Any]:
    """Give quantiles of the age error, and the worst ages and genders, as JSON values."""
    error = np.abs(faces.age_median - faces.age)
    wrong = (faces.female_probability >= 0.5) != faces.female
    sure = np.maximum(faces.female_probability, 1 - faces.female_probability)
    worst = np.argsort(-error, kind="stable")[:SHOWN]
    genders = np.argsort(np.where(wrong, -sure, 1), kind="stable")[: min(SHOWN, int(wrong.sum()))]
    return {
        "error_quantiles": [
            {"level": level, **quantile(error, level, weights)} for level in LEVELS
        ],
        "far_off": {
            "years": uncertainty.LARGE_ERROR,
            **estimate(mean((error > uncertainty.LARGE_ERROR).astype(np.float64)), weights)[
                0
            ].table(),
        },
        "worst_ages": [_face(samples, faces, int(row)) for row in worst],
        "worst_genders": [_face(samples, faces, int(row)) for row in genders],
    }


def quantile(values: NDArray[np.float64], level: float, weights: Weights) -> dict[str, Any]:
    """Give the value below which a share `level` of the values (N,) lies, with its interval."""
    order = np.argsort(values, kind="stable")

    def statistic(drawn: Weights) -> Draws:
        below = np.cumsum(drawn[:, order], axis=1, dtype=np.float64)
        place = (below < below[:, -1:] * level).sum(axis=1)
        picked: Draws = values[order][np.minimum(place, len(values) - 1)]
        return picked

    return estimate(statistic, weights)[0].table()


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
