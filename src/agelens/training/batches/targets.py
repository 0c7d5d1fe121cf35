"""What a loss takes besides labels: sample weights, and a teacher's predictions (distillation).

Sample weights come from the CSV files of `agelens data audit`. They apply to training faces only,
so that validation and test figures stay comparable. A teacher's predictions (Hinton et al., 2015)
are the `predictions.parquet` of `agelens evaluate MODEL --part train`, or the file of
`agelens data out-of-fold`.
"""

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference import distribution
from agelens.training.networks.loss import Targets
from agelens.training.recipes.config import Config, DataConfig


def read_weights(config: DataConfig, dataset: Dataset) -> NDArray[np.float32] | None:
    """Return a weight from 0 to 1 for each face of the data set, (N,); None without any file.

    data.exclude: the faces whose suggestion is "exclude" (or, without that column, every face
    listed) get weight 0. data.downweight: each face gets the smallest weight listed for it.
    Raises TrainingError for a file that cannot be used, or lists faces the data set lacks.
    """
    if config.exclude is None and config.downweight is None:
        return None
    weights = np.ones(len(dataset), np.float32)
    if config.exclude is not None:
        table = _read("data.exclude", config.exclude)
        if "suggestion" in table.columns:
            table = table.filter(pl.col("suggestion") == "exclude")
        weights[_rows(table, dataset, config.exclude)] = 0
    if config.downweight is not None:
        table = _read("data.downweight", config.downweight)
        listed = _checked_weights(table, config.downweight)
        np.minimum.at(weights, _rows(table, dataset, config.downweight), listed)
    return weights


def _read(key: str, path: str) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TrainingError(
            f"cannot read {key} = {path!r} ({error}): expected the actions.csv of  "
            "agelens data audit DATA"
        ) from error
    if "file" not in table.columns:
        raise TrainingError(
            f"{path} has the columns {', '.join(table.columns)}: expected file, "
            "and suggestion and weight as  agelens data audit  writes them"
        )
    return table


def _checked_weights(table: pl.DataFrame, path: str) -> NDArray[np.float32]:
    if "weight" not in table.columns:
        raise TrainingError(f"{path} has no column weight: expected one, from 0 to 1")
    weights = table["weight"].cast(pl.Float32, strict=False)
    invalid = ~weights.is_between(0, 1).fill_null(False)
    if invalid.any():
        row = int(invalid.arg_max() or 0)
        given = table["weight"][row]
        raise TrainingError(f"{path}, line {row + 2}: weight {given!r}: expected 0 to 1")
    return weights.to_numpy()


def _rows(table: pl.DataFrame, dataset: Dataset, path: str) -> NDArray[np.int64]:
    files = table["file"]
    rows = files.replace_strict(dataset.samples["file"], np.arange(len(dataset)), default=None)
    if rows.has_nulls():
        unknown = files.filter(rows.is_null())
        raise TrainingError(
            f"{path} names {len(unknown):,} files that the dataset lacks, such as "
            f"{unknown[0]!r}: expected the actions of this dataset's own audit"
        )
    return rows.to_numpy()


def read_teacher(config: Config, dataset: Dataset) -> Targets | None:
    """Read the teacher's predictions, one row per face of the data set; None without a teacher.

    Faces without one have zeros. Raises TrainingError for predictions that lack a training face,
    or where only one of data.teacher and loss.teacher is set.
    """
    file = config.data.teacher
    if (file is None) != (config.loss.teacher == 0):
        raise TrainingError(
            f"data.teacher = {file!r} with loss.teacher = {config.loss.teacher}: "
            "expected a file and a share above 0, or neither"
        )
    if file is None:
        return None
    columns = ["file", "age_probabilities", "female_probability"]
    try:
        known = pl.read_parquet(file, columns=columns).drop_nulls()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TrainingError(
            f"cannot read the teacher's answers {file!r} ({error}): expected the "
            "predictions.parquet of  agelens evaluate MODEL --part train"
        ) from error
    known = known.join(dataset.samples.select("file").with_row_index("row"), on="file")
    rows = known["row"].to_numpy()
    missing = np.setdiff1d(dataset.split(config.data.split).train, rows)
    if len(missing):
        raise TrainingError(
            f"{file} lacks {len(missing):,} of the training faces, such as "
            f"{dataset.samples['file'][int(missing[0])]!r}: expected the answers of "
            f"agelens evaluate MODEL --part train --split {config.data.split}"
        )
    probabilities = np.zeros((len(dataset), distribution.AGES), np.float32)
    female = np.zeros(len(dataset), np.float32)
    probabilities[rows] = known["age_probabilities"].to_numpy()
    female[rows] = known["female_probability"].to_numpy()
    mean = distribution.mean(probabilities).astype(np.float32)
    return Targets(*map(torch.from_numpy, (probabilities, mean, female)))
