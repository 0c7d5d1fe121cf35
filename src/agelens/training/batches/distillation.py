"""What another model says of the training faces, for a student to learn from.

Knowledge distillation (Hinton et al., 2015). The answers are the `predictions.parquet` that
`agelens evaluate MODEL --part train` writes.
"""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference import distribution
from agelens.training.networks.loss import Targets
from agelens.training.recipes.config import Config


def read(config: Config, dataset: Dataset) -> Targets | None:
    """Read the teacher's answers, a row for each face of the dataset; None without a teacher.

    Faces that are not trained on have rows of zeros. Raises TrainingError for answers that
    lack a training face, or where only one of data.teacher and loss.teacher is set.
    """
    if (config.data.teacher is None) != (config.loss.teacher == 0):
        raise TrainingError(
            f"data.teacher = {config.data.teacher!r} with loss.teacher = {config.loss.teacher}: "
            "expected a file and a share above 0, or neither"
        )
    if config.data.teacher is None:
        return None
    file = config.data.teacher
    columns = ["file", "age_probabilities", "female_probability"]
    try:
        said = pl.read_parquet(Path(file), columns=columns)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TrainingError(
            f"cannot read the teacher's answers {file!r} ({error}): expected the "
            "predictions.parquet of  agelens evaluate MODEL --part train"
        ) from error
    place = {file: row for row, file in enumerate(dataset.samples["file"])}
    known = said.filter(pl.col("file").is_in(list(place))).drop_nulls()
    rows = np.array([place[file] for file in known["file"]], np.int64)
    lacking = np.setdiff1d(dataset.split(config.data.split).train, rows)
    if len(lacking):
        raise TrainingError(
            f"{file} lacks {len(lacking):,} of the training faces, such as "
            f"{dataset.samples['file'][int(lacking[0])]!r}: expected the answers of "
            f"agelens evaluate MODEL --part train --split {config.data.split}"
        )
    spread = np.zeros((len(dataset), distribution.AGES), np.float32)
    female = np.zeros(len(dataset), np.float32)
    spread[rows] = known["age_probabilities"].to_numpy()
    female[rows] = known["female_probability"].to_numpy()
    mean = distribution.mean(spread).astype(np.float32)
    return Targets(torch.from_numpy(spread), torch.from_numpy(mean), torch.from_numpy(female))
