"""What a model says of every face that it never saw: for each fold, one trained on the others.

The backbone stays as it is; only a small head is trained on its features, in seconds. So no
face has been learnt from by the head that answers it, nor a copy that is in its fold.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from agelens.data.dataset import Dataset
from agelens.errors import DatasetError
from agelens.evaluation import metrics, predictions
from agelens.evaluation.figures import CENTRAL
from agelens.evaluation.predictions import ModelOutputs
from agelens.inference.distribution import AGES
from agelens.output.tables import replacing
from agelens.training.batches.features import extract
from agelens.training.loop.frozen_heads import train_head
from agelens.training.networks import checkpoint

BACKBONES = ("faceres-deep", "dlib")


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What N faces are said to be; a benchmark may give others than the dataset's own."""

    ages: NDArray[np.int64]  # (N,), years
    female: NDArray[np.int64]  # (N,), 0 or 1
    folds: NDArray[np.int64]  # (N,)

    @classmethod
    def of(cls, dataset: Dataset) -> "Labels":
        """Read a dataset's own. Raises DatasetError where a gender or a second fold is missing."""
        samples = dataset.samples
        if untold := samples["gender"].null_count():
            raise DatasetError(
                f"{untold:,} of {len(dataset):,} samples in {str(dataset.folder)!r} carry no "
                "gender, which out-of-fold answers need; take a source that tells it"
            )
        if samples["fold"].n_unique() < 2:
            raise DatasetError(
                f"all samples in {str(dataset.folder)!r} are in one fold: out-of-fold answers "
                "need at least two; add more pictures and import again"
            )
        return cls(
            samples["age"].to_numpy().astype(np.int64),
            (samples["gender"] == "female").to_numpy().astype(np.int64),
            samples["fold"].to_numpy().astype(np.int64),
        )

    def take(self, rows: NDArray[np.int64]) -> "Labels":
        """Give the labels of some rows."""
        return Labels(self.ages[rows], self.female[rows], self.folds[rows])


def answer(
    features: NDArray[np.float16],
    labels: Labels,
    seeds: int,
    progress: Progress,
    trusted: NDArray[np.bool_] | None = None,
) -> ModelOutputs:
    """Answer every face by heads trained on the other folds, averaged over seeds and mirror image.

    `features` are float16 (N, 2, F): of the chip and of its mirror image. `trusted` (N,) are the
    faces that may be learnt from; by default all.
    """
    held = torch.from_numpy(np.asarray(features))
    ages, female = torch.from_numpy(labels.ages), torch.from_numpy(labels.female)
    said = ModelOutputs(np.zeros((len(ages), AGES), np.float32), np.zeros(len(ages), np.float64))
    folds = np.unique(labels.folds)
    task = progress.add_task("heads for each fold", total=len(folds) * seeds)
    for fold in folds:
        apart = labels.folds != fold
        if trusted is not None:
            apart &= trusted
        others = torch.from_numpy(np.flatnonzero(apart))
        own = np.flatnonzero(labels.folds == fold)
        seen = held[others], ages[others], female[others]
        for seed in range(seeds):
            head = train_head(*seen, seed)
            with torch.inference_mode():
                for side in (0, 1):
                    age_logits, female_logits = head(held[own, side])
                    said.age_probabilities[own] += age_logits.softmax(-1).numpy()
                    said.female_probability[own] += female_logits.sigmoid().numpy()
            progress.advance(task)
    said.age_probabilities[:] /= 2 * seeds
    said.female_probability[:] /= 2 * seeds
    progress.remove_task(task)
    return said


def out_of_fold(
    dataset: Dataset,
    progress: Progress,
    backbones: tuple[str, ...] = BACKBONES,
    seeds: int = 2,
    split: int | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Give a row for each face, as `evaluation.predictions.prediction_table`, and what it is.

    With `split` only the training faces of that split are answered and learnt from, so that a
    student of the answers has learnt nothing of the validation and test folds.
    age_low and age_high are the quantiles 5 % and 95 %. Raises TrainingError where a backbone's
    files are missing, DatasetError for labels or pictures that cannot be used.
    """
    labels, samples, rows = Labels.of(dataset), dataset.samples, np.arange(len(dataset))
    if split is not None:
        rows = dataset.split(split).train
        labels, samples = labels.take(rows), samples[rows]
    began = time.monotonic()
    features = [extract(dataset, backbone, progress) for backbone in backbones]
    extracted = time.monotonic()
    said = answer(np.concatenate(features, axis=-1)[rows], labels, seeds, progress)
    ended = time.monotonic()
    seen = predictions.labelled_faces(samples, said, CENTRAL)
    about = {
        "data": dataset.fingerprint,
        "backbones": list(backbones),
        "seeds": seeds,
        "split": split,
        "faces": len(samples),
        "age_mae": round(metrics.age_mae(seen.age_median, labels.ages), 3),
        "cs5": round(metrics.cumulative_score(seen.age_median, labels.ages, 5), 4),
        "gender_accuracy": round(
            metrics.gender_accuracy(seen.female_probability, labels.female), 4
        ),
        "seconds": {
            "features": round(extracted - began, 1),
            "heads": round(ended - extracted, 1),
        },
    }
    return predictions.prediction_table(samples, said, seen), about


def write(table: pl.DataFrame, about: dict[str, Any], path: Path) -> None:
    """Write the answers as Parquet, and what they are as JSON beside it."""
    with replacing(path, "wb") as file:
        table.write_parquet(file)
    checkpoint.write_json(path.with_suffix(".json"), about)
