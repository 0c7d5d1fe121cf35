"""What a model answers on the faces of a dataset, and the table of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data import chips
from agelens.errors import DatasetError, ModelError, PictureError
from agelens.evaluation.figures import Faces
from agelens.images.sources import Source
from agelens.inference.distribution import AGES, Levels
from agelens.inference.runtime import Model
from agelens.predictor import Predictor

BATCH = 64
Report = Callable[[int], None]
"""Is told how many more faces are done."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The distributions a model gave for N faces."""

    age_probabilities: NDArray[np.float32]  # (N, 117); rows of NaN where no face was found
    female_probability: NDArray[np.float64]  # (N,); NaN where no face was found

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which faces have an answer, (N,)."""
        return np.isfinite(self.female_probability)


def on_chips(
    model: Model, paths: Sequence[Path], flip: bool, threads: int | None, report: Report
) -> Answers:
    """Ask a model about aligned chips; with `flip` the mean of each and its mirror image.

    Raises DatasetError for a picture that cannot be read, ModelError for numbers that are no
    probabilities.
    """
    answers = Answers(np.empty((len(paths), AGES), np.float32), np.empty(len(paths), np.float64))
    start = 0
    try:
        for batch in chips.batches(paths, BATCH, threads):
            part = slice(start, start + len(batch))
            once = model.run(batch)
            answers.age_probabilities[part] = once.age_probabilities
            answers.female_probability[part] = once.female_probability
            if flip:
                mirrored = model.run(np.ascontiguousarray(batch[:, :, ::-1]))
                answers.age_probabilities[part] += mirrored.age_probabilities
                answers.age_probabilities[part] /= 2
                answers.female_probability[part] += mirrored.female_probability
                answers.female_probability[part] /= 2
            start = part.stop
            report(len(batch))
    except PictureError as error:
        raise DatasetError(f"a picture of the dataset cannot be used: {error}") from error
    _check(model, answers)
    return answers


def on_pictures(
    model: Model, paths: Sequence[Path], flip: bool, threads: int | None, report: Report
) -> Answers:
    """Find the largest face of each picture, align it and ask a model about it.

    Where there is no face the answer is NaN. Raises as `on_chips`.
    """
    answers = Answers(np.full((len(paths), AGES), np.nan, np.float32), np.full(len(paths), np.nan))
    predictor = Predictor(model, threads=threads, flip=flip)
    stream = predictor.predict_stream(Source(path.name, path) for path in paths)
    for place, answer in enumerate(stream):
        if answer.error is not None:
            raise DatasetError(
                f"a picture of the dataset cannot be used: {answer.name}: {answer.error}"
            ) from answer.error
        if answer.predictions:
            largest = answer.predictions[0]
            answers.age_probabilities[place] = largest.age_probabilities
            answers.female_probability[place] = largest.female_probability
        report(1)
    _check(model, answers)
    return answers


def faces(samples: pl.DataFrame, answers: Answers, levels: Levels) -> Faces:
    """Join labels and answers of the faces that were found."""
    found = answers.found
    return Faces.read(
        samples["age"].to_numpy()[found],
        (samples["gender"] == "female").to_numpy()[found],
        answers.age_probabilities[found],
        answers.female_probability[found],
        levels,
    )


def table(samples: pl.DataFrame, answers: Answers, seen: Faces) -> pl.DataFrame:
    """Give one row for each face: labels, fold, predictions and the distribution.

    Predictions are null where no face was found. The columns are file, sha256 (of the picture),
    age, gender, race, fold, age_median, age_mean, age_low, age_high, female_probability,
    age_probabilities (117 float32).
    """

    def spread(values: NDArray[Any]) -> NDArray[np.float64]:
        whole = np.full(len(samples), np.nan)
        whole[answers.found] = values
        return whole

    return (
        samples.select("file", "sha256", "age", "gender", "race", "fold")
        .with_columns(
            pl.Series("age_median", spread(seen.age_median)),
            pl.Series("age_mean", spread(seen.age_mean)),
            pl.Series("age_low", spread(seen.age_low)),
            pl.Series("age_high", spread(seen.age_high)),
            pl.Series("female_probability", answers.female_probability),
        )
        .with_columns(pl.selectors.float().fill_nan(None))
        .with_columns(
            pl.when(pl.Series(answers.found)).then(
                pl.Series(
                    "age_probabilities", answers.age_probabilities, pl.Array(pl.Float32, AGES)
                )
            )
        )
    )


def _check(model: Model, answers: Answers) -> None:
    found = answers.found
    sums = answers.age_probabilities[found].sum(axis=1)
    odd = np.flatnonzero(~(np.abs(sums - 1) < 1e-2))
    p = answers.female_probability[found]
    if len(odd) or ((p < 0) | (p > 1)).any():
        raise ModelError(
            f"{str(model.path)!r} gives numbers that are no probabilities: expected 117 that "
            "add up to 1, and one from 0 to 1; export the model again"
        )
