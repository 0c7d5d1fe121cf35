"""Run a model on the faces of a dataset, tabulate its predictions, and measure what it costs."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens import provenance
from agelens.data import chips
from agelens.errors import DatasetError, ModelError, PictureError
from agelens.evaluation.bootstrap import Floats, Mask
from agelens.evaluation.figures import Faces
from agelens.images.sources import Source
from agelens.inference.distribution import AGES, Levels
from agelens.inference.runtime import CHIP, Model, Output
from agelens.predictor import Predictor
from agelens.results import Prediction

BATCH = 64
ROUNDS = 5
TIMED_FACES = 16  # in each round, at each batch size
TIMED_BATCHES = (1, 16)
PREDICTED = ("age_median", "age_mean", "age_low", "age_high", "female_probability")
"""What is known of each face besides its distribution: fields of `Faces`, columns of tables."""
Advance = Callable[[int], None]  # called with how many faces are done so far


@dataclass(frozen=True, slots=True, eq=False)
class ModelOutputs:
    """The distributions a model gave for N faces."""

    age_probabilities: NDArray[np.float32]  # (N, 117); rows of NaN where no face was found
    female_probability: Floats  # (N,); NaN where no face was found

    @property
    def found(self) -> Mask:
        """Which faces have a prediction, (N,)."""
        return np.isfinite(self.female_probability)


def chip_batches(paths: Sequence[Path], threads: int | None) -> Iterator[NDArray[np.uint8]]:
    """Read aligned chips in order, uint8 (B, 200, 200, 3) RGB; raise DatasetError on failure."""
    try:
        yield from chips.batches(paths, BATCH, threads)
    except PictureError as error:
        raise DatasetError(f"a picture of the dataset cannot be used: {error}") from error


def predict(
    model: Model, paths: Sequence[Path], flip: bool, threads: int | None, advance: Advance,
    *, pipeline: bool = False,
) -> ModelOutputs:  # fmt: skip
    """Run a model on N aligned chips; with `flip` average each with its mirror image.

    With `pipeline` the largest face of each picture is detected and aligned first; where there is
    none the outputs are NaN. Raises DatasetError for a picture that cannot be read, ModelError for
    outputs that are no probabilities.
    """
    outputs = ModelOutputs(
        np.full((len(paths), AGES), np.nan, np.float32), np.full(len(paths), np.nan)
    )
    done = 0
    for count, answer in _answers(model, paths, flip, threads, pipeline):
        rows = slice(done, done := done + count)
        if answer is not None:
            outputs.age_probabilities[rows] = answer.age_probabilities
            outputs.female_probability[rows] = answer.female_probability
        advance(done)
    sums = outputs.age_probabilities[outputs.found].sum(axis=1)
    p = outputs.female_probability[outputs.found]
    if not (np.abs(sums - 1) < 1e-2).all() or ((p < 0) | (p > 1)).any():
        raise ModelError(
            f"{str(model.path)!r} gives numbers that are no probabilities: expected 117 that "
            "add up to 1, and one from 0 to 1; export the model again"
        )
    return outputs


def _answers(
    model: Model, paths: Sequence[Path], flip: bool, threads: int | None, pipeline: bool
) -> Iterator[tuple[int, Output | Prediction | None]]:
    """Yield how many pictures an answer is of, and the answer; None where there is no face."""
    if not pipeline:
        for batch in chip_batches(paths, threads):
            yield len(batch), model.predict(batch, flip=flip)
        return
    sources = (Source(path.name, path) for path in paths)
    for result in Predictor(model, threads=threads, flip=flip).predict_stream(sources):
        if result.error is not None:
            raise DatasetError(
                f"a picture of the dataset cannot be used: {result.name}: {result.error}"
            ) from result.error
        yield 1, next(iter(result.predictions), None)


def labelled_faces(samples: pl.DataFrame, outputs: ModelOutputs, levels: Levels) -> Faces:
    """Join labels and predictions of the faces that were found."""
    found = outputs.found
    return Faces.from_distributions(
        samples["age"].to_numpy()[found], (samples["gender"] == "female").to_numpy()[found],
        outputs.age_probabilities[found], outputs.female_probability[found], levels,
    )  # fmt: skip


def prediction_table(samples: pl.DataFrame, outputs: ModelOutputs, faces: Faces) -> pl.DataFrame:
    """Return a row for each face: file, sha256, labels, fold, PREDICTED, age_probabilities.

    Predictions are null where no face was found.
    """
    spread = pl.Series(faces.probabilities, dtype=pl.Array(pl.Float32, AGES))
    columns = {name: getattr(faces, name) for name in PREDICTED} | {"age_probabilities": spread}
    found = pl.DataFrame({"row": np.flatnonzero(outputs.found).astype(np.uint32), **columns})
    return (
        samples.select("file", "sha256", "age", "gender", "race", "fold")
        .with_row_index("row")
        .join(found, "row", how="left", maintain_order="left")
        .drop("row")
    )


def measure_cost(model: Model, threads: int = 1) -> dict[str, Any]:
    """Time a model on chips of noise: milliseconds for a face, the median of ROUNDS rounds.

    `threads` is what the model was loaded with, for the record. `busy` tells whether half of the
    cores or more had other work over the last minute, so that the times are too long.
    """
    try:
        busy = os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    except (AttributeError, OSError):  # not available on this system
        busy = False
    noise = np.random.default_rng(0).integers(0, 256, (TIMED_FACES, CHIP, CHIP, 3), np.uint8)

    def milliseconds(size: int) -> float:
        batches = np.split(noise, TIMED_FACES // size)
        time = provenance.median_milliseconds(lambda: list(map(model.run, batches)), ROUNDS)
        return time / TIMED_FACES

    return {
        "megabytes": model.path.stat().st_size / 1e6,
        "milliseconds": {str(size): milliseconds(size) for size in TIMED_BATCHES},
        "rounds": ROUNDS,
        "busy": busy,
        "machine": provenance.machine(threads),
    }
