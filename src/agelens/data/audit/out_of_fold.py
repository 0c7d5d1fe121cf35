"""Out-of-fold predictions: of models that never saw the face, read from a file."""

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
    """Outputs of pre-trained networks for the pictures, as far as the networks are installed."""

    out_of_fold: Path | None = None  # file of predictions
    descriptors: NDArray[np.float32] | None = None  # (N, 128), dlib's, in the dataset's order
    looks_painted: NDArray[np.float64] | None = None  # (N,), by `paintings.score`
    missing: str = ""  # why there are no predictions, and what to do


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFoldPredictions:
    """Predictions of N faces; rows of NaN where there is none."""

    age_probabilities: NDArray[np.float64]  # (N, 117)
    female_probability: NDArray[np.float64]  # (N,)

    @property
    def available(self) -> NDArray[np.bool_]:
        """Which faces have a prediction, (N,)."""
        return np.isfinite(self.female_probability)


def read(path: Path, samples: pl.DataFrame) -> OutOfFoldPredictions:
    """Read the predictions for the samples of a data set, by file name.

    Raises DatasetError for a file without the columns of  agelens data out-of-fold,  or that
    knows none of the faces.
    """
    try:
        table = pl.read_parquet(path, columns=list(_COLUMNS)).drop_nulls()
    except Exception as error:  # polars' exceptions share no public base class
        raise DatasetError(
            f"cannot read out-of-fold answers from {str(path)!r} ({error}): expected the file "
            "that  agelens data out-of-fold DATA  writes"
        ) from error
    place = {file: row for row, file in enumerate(samples["file"])}
    table = table.filter(pl.col("file").is_in(list(place)))
    if not table.height:
        raise DatasetError(
            f"{str(path)!r} answers none of the {len(samples):,} faces of this dataset: make it "
            "with  agelens data out-of-fold DATA"
        )
    try:
        spread = table["age_probabilities"].cast(pl.Array(pl.Float64, distribution.AGES))
    except pl.exceptions.PolarsError as error:
        raise DatasetError(
            f"{str(path)!r}: expected {distribution.AGES} age_probabilities for each face"
        ) from error
    rows = [place[file] for file in table["file"]]
    predicted = OutOfFoldPredictions(
        np.full((len(samples), distribution.AGES), np.nan), np.full(len(samples), np.nan)
    )
    predicted.age_probabilities[rows] = spread.to_numpy()
    predicted.female_probability[rows] = table["female_probability"].to_numpy()
    return predicted
