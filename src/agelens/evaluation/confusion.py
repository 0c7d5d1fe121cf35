"""Which label is taken for which: gender, and the age groups of FairFace."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import metrics
from agelens.evaluation.bootstrap import Weights, estimate, mean
from agelens.evaluation.figures import Faces

GENDERS = ("female", "male")
AGE_GROUPS = tuple(
    f"{first}+" if (first, last) == metrics.FAIRFACE[-1] else f"{first}-{last}"
    for first, last in metrics.FAIRFACE
)


def measure(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Give the confusion matrices as JSON values.

    `counts` has a row for each label and a column for each answer; `shares` are of the row.
    `one_off` is the share of faces put into their age group or one beside it.
    """
    label = metrics.age_group(faces.age, metrics.FAIRFACE)
    said = metrics.age_group(faces.age_median, metrics.FAIRFACE, nearest=True)
    near = (np.abs(label - said) <= 1).astype(np.float64)
    wrong_gender = (faces.female_probability >= 0.5) != faces.female
    return {
        "gender": _matrix(
            np.where(faces.female, 0, 1), np.where(faces.female_probability >= 0.5, 0, 1), GENDERS
        ),
        "age_groups": _matrix(label, said, AGE_GROUPS),
        "one_off": estimate(mean(near), weights)[0].table(),
        "wrong_genders": {
            "faces": int(wrong_gender.sum()),
            "under_13": int((wrong_gender & (faces.age < 13)).sum()),
            "share_under_13": (
                float((faces.age[wrong_gender] < 13).mean()) if wrong_gender.any() else None
            ),
        },
    }


def _matrix(
    label: NDArray[np.int64], said: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, Any]:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (label, said), 1)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.full(counts.shape, np.nan), where=rows > 0)
    return {
        "names": list(names),
        "counts": counts.tolist(),
        "shares": [
            [None if np.isnan(share) else share for share in row] for row in shares.tolist()
        ],
    }
