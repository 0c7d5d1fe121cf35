"""Knowledge distillation (Hinton et al., 2015): a teacher's predictions as training targets.

The predictions are the `predictions.parquet` that `agelens evaluate MODEL --part train` writes,
or the file of `agelens data out-of-fold`.
"""

import numpy as np
import polars as pl
import torch

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference import distribution
from agelens.training.networks.loss import Targets
from agelens.training.recipes.config import Config


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
