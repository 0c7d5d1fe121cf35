"""Measure the data behind the figures: how noisy the labels are, and the quality of the pictures.

Most measures of picture quality come from `agelens.data.quality`. `detail` is added here: what is
left in a chip of the size of the face in its photo.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.evaluation.bootstrap import Floats, Names
from agelens.evaluation.predictions import Advance, chip_batches
from agelens.inference.runtime import CHIP

FAR_YEARS = 5
MARGIN = 30  # pixels of the chip left out at each side
SIDES = (24, 32, 40, 48, 64, 80, 100, 125, 160)
MAX_LOSS = 2.0  # grey levels, root mean square; less is not visible
THIRDS = {
    "light": ("dark third", "middle third", "bright third"),
    "contrast": ("flat third", "middle third", "strong third"),
    "sharpness": ("blurred third", "middle third", "sharp third"),
    "pose": ("frontal third", "middle third", "turned third"),
    "size": ("small third", "middle third", "large third"),
}  # from little to much
COLOURS = {True: "grey", False: "in colour", None: None}
UNITS = {
    "light": "mean grey level of the face, 0 to 255",
    "contrast": "standard deviation of the grey levels",
    "sharpness": "variance of the Laplacian of the grey levels",
    "pose": "how far the nose is off the middle line, in eye distances",
    "detail": "side in pixels to which the chip can be shrunk with a loss under 2 grey levels",
    "colour": "whether there is any colour",
    "size": "shorter side of the picture in pixels",
}


def label_noise(samples: pl.DataFrame) -> dict[str, Any]:
    """Compare the labels of byte-identical pictures, every two of them; return JSON values.

    They show one face, so a difference is an error of the labels alone, and no model can be better.
    Takes the columns sha256, age and gender. Without such pictures the shares are None.
    """
    copies = samples.group_by("sha256", maintain_order=True).agg("age", "gender")
    copies = copies.filter(pl.col("age").list.len() > 1)
    pairs = [pair for row in copies["age"].to_list() for pair in combinations(row, 2)]
    years = np.array([abs(a - b) for a, b in pairs])
    genders = [a != b for row in copies["gender"].to_list() for a, b in combinations(row, 2)]

    def share(values: Any) -> float | None:
        return float(np.mean(values)) if pairs else None

    return {
        "pairs": len(pairs),
        "pictures": int(copies["age"].list.len().sum()),
        "ages_differ": share(years > 0),
        "ages_differ_by_over_5": share(years > FAR_YEARS),
        "mean_difference": share(years),
        "genders_differ": sum(genders),
        "share_genders_differ": share(genders),
    }


def measure_details(paths: Sequence[Path], threads: int | None, advance: Advance) -> Floats:
    """Measure the detail of every chip, in pixels (N,); `advance` is called with faces done.

    Raises DatasetError for a chip that cannot be read.
    """
    details: list[float] = []
    for batch in chip_batches(paths, threads):
        details += map(measure_detail, batch)
        advance(len(details))
    return np.array(details, np.float64)


def measure_detail(chip: NDArray[np.uint8]) -> float:
    """Return the smallest side to which a chip can be shrunk and restored, in pixels.

    Takes uint8 (200, 200, 3) RGB; returns one of SIDES, or 200 where all of them lose something.
    """
    face = chip[MARGIN : CHIP - MARGIN, MARGIN : CHIP - MARGIN]
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32)
    for side in SIDES:
        small = round(side * len(grey) / CHIP)
        shrunk = cv2.resize(grey, (small, small), interpolation=cv2.INTER_AREA)
        restored = cv2.resize(shrunk, grey.shape, interpolation=cv2.INTER_CUBIC)
        if float(np.square(restored - grey).mean()) ** 0.5 < MAX_LOSS:
            return float(side)
    return float(CHIP)


def group_by_quality(measured: pl.DataFrame, details: Floats) -> dict[str, Names]:
    """Name the group of every face, (N,), by the measure; None where it could not be measured.

    Takes a table of N rows with the columns brightness, contrast, sharpness, yaw and grey of
    `agelens.data.quality`, width and height, and the details (N,).
    """
    values = {
        "light": measured["brightness"],
        "contrast": measured["contrast"],
        "sharpness": measured["sharpness"],
        "pose": measured["yaw"].abs(),
        "size": measured.select(pl.min_horizontal("width", "height")).to_series(),
    }
    groups: dict[str, Names] = {}
    for by, column in values.items():
        if column.drop_nulls().n_unique() > 1:
            numbers = column.cast(pl.Float64).to_numpy()
            known = np.isfinite(numbers)
            edges = np.quantile(numbers[known], (1 / 3, 2 / 3))
            groups[by] = np.array(THIRDS[by], object)[np.searchsorted(edges, numbers).clip(0, 2)]
            groups[by][~known] = None
    # Three ranges of sides that are as equal as the steps allow.
    low, high = np.quantile(details, (1 / 3, 2 / 3), method="lower")
    groups["detail"] = np.full(len(details), f"over {high:.0f} px", object)
    groups["detail"][details <= high] = f"{low + 1:.0f} to {high:.0f} px"
    groups["detail"][details <= low] = f"up to {low:.0f} px"
    groups["colour"] = np.array([COLOURS[grey] for grey in measured["grey"]], object)
    return groups


def describe(groups: dict[str, Names], ages: NDArray[Any]) -> list[dict[str, Any]]:
    """Return each group's count and mean age, as JSON values."""
    return [
        {"by": by, "group": name, "faces": len(own), "mean_age": float(own.mean())}
        for by, names in groups.items()
        for name in ordered_names(by, names)
        for own in [ages[names == name]]
    ]


def ordered_names(by: str, names: Names) -> list[str]:
    """Return the names of a measure's groups, from little to much."""
    present = set(names.tolist()) - {None}
    if by == "detail":  # "up to", the middle, "over"
        return sorted(present, key=lambda name: (name[:2] == "ov", name[:2] != "up"))
    return [name for name in THIRDS.get(by, ("grey", "in colour")) if name in present]
