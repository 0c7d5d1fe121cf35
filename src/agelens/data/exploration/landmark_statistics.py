"""Statistics of the 68 landmarks of a list: mean shape by age band, and the spread of pose."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.label_statistics import Bands
from agelens.data.exploration.picture_statistics import LEAST, TURNED, Range, range_of
from agelens.data.landmarks import POINTS, SCHEMA, join, read_list
from agelens.data.quality import pose
from agelens.errors import DatasetError
from agelens.faces.alignment import TEMPLATE, similarity
from agelens.inference.runtime import CHIP

PARTS = (  # points that belong together: jaw, brows, bridge and foot of the nose, eyes, lips
    slice(0, 17), slice(17, 22), slice(22, 27), slice(27, 31), slice(31, 36), slice(36, 42),
    slice(42, 48), slice(48, 60), slice(60, 68),
)  # fmt: skip
_NEAR = 20.0  # pixels from the template within which eyes are those of a chip

Shape = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LandmarkStatistics:
    """Mean shapes and poses of the landmarks."""

    faces: int  # with points
    without: int  # faces of the dataset that the list lacks
    aligned: bool  # the points were brought onto the chips' template first
    mean_shapes: dict[str, Shape]  # by band with 20 faces and more: (68, 2), chip pixels
    chin_by_band: dict[str, float]  # of the mean shape: chin below eyes, in eye distances
    pose: dict[str, Range]  # yaw, pitch, roll of all faces, as for the five points
    pose_by_band: dict[str, dict[str, Range]]
    turned: int  # |yaw| of 0.2 or more
    yaw_agreement: float | None  # correlation with the yaw that the detector's points give


def read_points(file: Path) -> pl.DataFrame:
    """Read landmarks.parquet, or a list as text. Raises DatasetError for anything else."""
    if file.suffix != ".parquet":
        return read_list(file).table()
    try:
        table = pl.read_parquet(file)
    except Exception as error:  # polars' exceptions share no public base class
        raise DatasetError(f"cannot read {str(file)!r}: {error}") from error
    if dict(table.schema) != SCHEMA:
        raise DatasetError(
            f"{str(file)!r} has the columns {', '.join(table.columns) or 'none'}: expected file "
            "and points, as  agelens data landmarks  writes them"
        )
    return table


def describe_landmarks(
    samples: pl.DataFrame, points: pl.DataFrame, quality: pl.DataFrame, bands: Bands
) -> LandmarkStatistics:
    """Join points to samples and describe them. Raises DatasetError where none joins.

    Points of chips are taken as they stand; those of larger photos are first brought onto the
    chips' template, each face by a similarity of its eyes, nose and mouth corners.
    """
    joined = join(samples.select("file"), points)["points"]
    rows = np.flatnonzero(joined.is_not_null().to_numpy())
    if not len(rows):
        raise DatasetError(
            f"no file of the landmark list is in the dataset: its first is {points['file'][0]!r}, "
            f"the dataset's {samples['file'][0]!r}; make a list with  agelens data landmarks"
        )
    shapes = joined.drop_nulls().to_numpy().astype(np.float64).reshape(-1, POINTS, 2)
    five = _five_points(shapes)
    nothing = dict.fromkeys(("yaw", "pitch", "roll"), np.nan)
    turns = pl.DataFrame([nothing | pose(points) for points in five])
    poses = {name: turns[name].to_numpy() for name in nothing}
    aligned = bool((np.abs(np.median(five[:, :2], axis=0) - TEMPLATE[:2]) > _NEAR).any())
    if aligned:
        shapes = np.stack([_onto(shape, own) for shape, own in zip(shapes, five, strict=True)])
    band = bands.of[rows]
    of = {name: np.flatnonzero(band == i) for i, name in enumerate(bands.names)}
    enough = {name: own for name, own in of.items() if len(own) >= LEAST}
    other = quality["yaw"].to_numpy().astype(np.float64)[rows]
    both = np.isfinite(other) & np.isfinite(poses["yaw"])
    varied = both.sum() >= LEAST and min(np.ptp(other[both]), np.ptp(poses["yaw"][both])) > 0
    means = {name: shapes[own].mean(axis=0) for name, own in enough.items()}
    return LandmarkStatistics(
        faces=len(rows),
        without=len(samples) - len(rows),
        aligned=aligned,
        mean_shapes=means,
        chin_by_band={name: _chin(shape) for name, shape in means.items()},
        pose={name: range_of(values) for name, values in poses.items() if len(values)},
        pose_by_band={
            figure: {name: range_of(values[own]) for name, own in enough.items()}
            for figure, values in poses.items()
        },
        turned=int((np.abs(poses["yaw"]) >= TURNED).sum()),
        yaw_agreement=float(np.corrcoef(other[both], poses["yaw"][both])[0, 1]) if varied else None,
    )  # fmt: skip


def _five_points(shapes: Shape) -> Shape:
    """Give eyes' middles, nose tip and mouth corners (N, 5, 2) of shapes (N, 68, 2)."""
    eyes = [shapes[:, 36:42].mean(axis=1), shapes[:, 42:48].mean(axis=1)]
    return np.stack([*eyes, shapes[:, 30], shapes[:, 48], shapes[:, 54]], axis=1)


def _chin(shape: Shape) -> float:
    right, left = _five_points(shape[None])[0, :2]
    down = shape[8] - (right + left) / 2
    return float(np.hypot(*down) / np.hypot(*(left - right)))


def _onto(shape: Shape, five: Shape) -> Shape:
    try:
        matrix = similarity(five, TEMPLATE * CHIP / 200)
    except ValueError:  # all five points coincide
        return np.full_like(shape, np.nan)
    return shape @ matrix[:, :2].T + matrix[:, 2]
