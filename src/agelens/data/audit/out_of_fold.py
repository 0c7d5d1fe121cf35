"""Out-of-fold answers: what models say of faces they never saw, read from a file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.errors import DatasetError
from agelens.inference import distribution

_COLUMNS = ("file", "age_probabilities", "female_probability")


@dataclass(frozen=True, slots=True, eq=False)
class ModelOutputs:
    """What models say of the pictures, where there are any."""

    out_of_fold: Path | None = None  # answers by models that never saw the face
    descriptors: NDArray[np.float32] | None = None  # (N, 128), dlib's, in the dataset's order
    looks_painted: NDArray[np.float64] | None = None  # (N,), as `paintings.score` tells
    missing: str = ""  # why there are no answers, and what to do


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFoldPredictions:
    """What was said of N faces; rows of NaN where nothing was."""

    age_probabilities: NDArray[np.float64]  # (N, 117)
    female_probability: NDArray[np.float64]  # (N,)

    @property
    def available(self) -> NDArray[np.bool_]:
        """Which faces have an answer, (N,)."""
        return np.isfinite(self.female_probability)


def read(path: Path, samples: pl.DataFrame) -> OutOfFoldPredictions:
    """Read answers for the samples of a dataset, by file name.

    Raises DatasetError for a file without the columns of  agelens data out-of-fold,  or that
    knows none of the faces.
    """
    try:
        said = pl.read_parquet(path, columns=list(_COLUMNS)).drop_nulls()
    except Exception as error:  # polars' exceptions share no public base class
        raise DatasetError(
            f"cannot read out-of-fold answers from {str(path)!r} ({error}): expected the file "
            "that  agelens data out-of-fold DATA  writes"
        ) from error
    place = {file: row for row, file in enumerate(samples["file"])}
    said = said.filter(pl.col("file").is_in(list(place)))
    if not said.height:
        raise DatasetError(
            f"{str(path)!r} answers none of the {len(samples):,} faces of this dataset: make it "
            "with  agelens data out-of-fold DATA"
        )
    try:
        spread = said["age_probabilities"].cast(pl.Array(pl.Float64, distribution.AGES))
    except pl.exceptions.PolarsError as error:
        raise DatasetError(
            f"{str(path)!r}: expected {distribution.AGES} age_probabilities for each face"
        ) from error
    rows = [place[file] for file in said["file"]]
    answers = OutOfFoldPredictions(
        np.full((len(samples), distribution.AGES), np.nan), np.full(len(samples), np.nan)
    )
    answers.age_probabilities[rows] = spread.to_numpy()
    answers.female_probability[rows] = said["female_probability"].to_numpy()
    return answers
