"""Tables of data sets and of measurements whose statistics are known."""

from typing import Any

import numpy as np
import polars as pl

from agelens.data import quality
from agelens.data.dataset import SCHEMA
from agelens.data.exploration.label_statistics import LabelStatistics, bands_of, describe_labels
from agelens.faces.alignment import TEMPLATE

LEVEL = [age for age in range(20, 61) for _ in range(100)]
HEAPED = [age for age in LEVEL if age != 47] + [30] * 250 + [47] * 20 + [33] * 90


def samples(
    ages: list[int], gender: str | None = "both", race: str | None = None,
    folds: list[int] | None = None,
) -> pl.DataFrame:  # fmt: skip
    """Make the table of a dataset; every other face is female, folds go round."""
    count = len(ages)
    genders = [("female", "male")[i % 2] if gender == "both" else gender for i in range(count)]
    return pl.DataFrame(
        {
            "file": [f"{i:06}.jpg" for i in range(count)], "age": ages, "gender": genders,
            "race": [race] * count, "width": [200] * count, "height": [200] * count,
            "sha256": [f"{i:064x}" for i in range(count)],
            "fold": folds or [i // 2 % 10 for i in range(count)],
        },
        schema=SCHEMA,
    )  # fmt: skip


def labels_of(frame: pl.DataFrame) -> LabelStatistics:
    return describe_labels(frame, bands_of(frame))


def measured(frame: pl.DataFrame, **columns: Any) -> pl.DataFrame:
    base = {"brightness": 120.0, "contrast": 40.0, "sharpness": 50.0, "saturation": 60.0,
            "colours": 8.0, "grey": False, "black_rim": 0.0, "faces": 1, "left": 20.0,
            "top": 0.0, "right": 180.0, "bottom": 200.0, "score": 0.9, "yaw": 0.0,
            "pitch": 0.57, "roll": 0.0, "checked": False}  # fmt: skip
    for name, (x, y) in zip(quality.POINTS, TEMPLATE.tolist(), strict=True):
        base |= {f"{name}_x": x, f"{name}_y": y}
    filled = {name: [value] * len(frame) for name, value in base.items()} | columns
    nothing = [None] * len(frame)
    return pl.DataFrame(
        {"file": frame["file"], "problem": nothing} | filled, schema_overrides=quality.SCHEMA
    ).select(quality.SCHEMA.keys())


def shape(chin: float) -> np.ndarray:
    """68 points with eyes, nose and mouth on the template; the chin at a height."""
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = TEMPLATE[0], TEMPLATE[1]
    points[30], points[48], points[54] = TEMPLATE[2], TEMPLATE[3], TEMPLATE[4]
    points[8] = TEMPLATE[:2].mean(axis=0) + np.array([0, chin])
    return points.astype(np.float32)
