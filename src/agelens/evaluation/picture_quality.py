"""Group faces by picture quality: light, contrast, sharpness, detail, colour, pose, size.

All but two measures come from `agelens.data.quality`. Chips are all of one size, whatever the size
of the photo they were cut from; `detail` measures what is left of that size: the side in pixels to
which a chip can be shrunk without loss. `size` is that of the pictures, where they differ.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.evaluation.arrays import Floats, Names
from agelens.evaluation.predictions import chip_batches
from agelens.inference.runtime import CHIP

MARGIN = 30  # pixels of the chip left out at each side
SIDES = (24, 32, 40, 48, 64, 80, 100, 125, 160)
MAX_LOSS = 2.0  # grey levels, root mean square; less is not visible
THIRDS = {
    "light": ("dark third", "middle third", "bright third"),
    "contrast": ("flat third", "middle third", "strong third"),
    "sharpness": ("blurred third", "middle third", "sharp third"),
    "pose": ("frontal third", "middle third", "turned third"),
    "size": ("small third", "middle third", "large third"),
}
"""The names of each measure's groups, from little to much."""
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


def measure_details(
    paths: Sequence[Path], threads: int | None, advance: Callable[[int], None]
) -> Floats:
    """Measure the detail of every chip, in pixels (N,); `advance` is called with faces done.

    Raises DatasetError for a chip that cannot be read.
    """
    details: list[float] = []
    for batch in chip_batches(paths, threads):
        details += [measure_detail(chip) for chip in batch]
        advance(len(batch))
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
    groups = {
        by: _thirds(column.cast(pl.Float64).to_numpy(), THIRDS[by])
        for by, column in values.items()
        if column.drop_nulls().n_unique() > 1
    }
    groups["detail"] = _detail_ranges(details)
    groups["colour"] = np.array([COLOURS[grey] for grey in measured["grey"]], object)
    return groups


def describe(groups: dict[str, Names], ages: NDArray[Any]) -> list[dict[str, Any]]:
    """Return each group's count and mean age, as JSON values."""
    return [
        {
            "by": by,
            "group": name,
            "faces": int((names == name).sum()),
            "mean_age": float(ages[names == name].mean()),
        }
        for by, names in groups.items()
        for name in ordered_names(by, names)
    ]


def ordered_names(by: str, names: Names) -> list[str]:
    """Return the names of a measure's groups, from little to much."""
    present = [name for name in dict.fromkeys(names.tolist()) if name is not None]
    if by == "detail":  # "up to", the middle, "over"
        return sorted(present, key=lambda name: (name[:2] == "ov", name[:2] != "up"))
    order = THIRDS.get(by, ("grey", "in colour"))
    return sorted(present, key=lambda name: order.index(name) if name in order else len(order))


def _thirds(values: Floats, names: Sequence[str]) -> Names:
    known = np.isfinite(values)
    edges = np.quantile(values[known], (1 / 3, 2 / 3))
    groups: Names = np.array(names, object)[np.searchsorted(edges, values, side="left").clip(0, 2)]
    groups[~known] = None
    return groups


def _detail_ranges(values: Floats) -> Names:
    """Name three ranges of sides that are as equal as the steps allow."""
    low, high = np.quantile(values, (1 / 3, 2 / 3), method="lower")
    names = np.full(len(values), f"over {high:.0f} px", object)
    names[values <= high] = f"{low + 1:.0f} to {high:.0f} px"
    names[values <= low] = f"up to {low:.0f} px"
    return names
