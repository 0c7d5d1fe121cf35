"""Sample weights: how much each training face counts, from the files of `agelens data audit`.

The files are CSV with the column `file` and, as audit writes them, `suggestion` and `weight`.
Weights apply to training faces only, so that validation and test figures stay comparable.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.training.recipes.config import DataConfig


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
        raise TrainingError(
            f"{path}, line {row + 2}: weight {table['weight'][row]!r}: expected 0 to 1"
        )
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
