"""Out-of-fold predictions: every face is predicted by a model trained on the other folds.

Only a small head is trained, in seconds, on the features of a frozen backbone. So no head has seen
a face that it predicts, nor a copy of it, since copies share a fold.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from agelens.data.audit import face_problems
from agelens.data.audit.facts import ModelOutputs as AuditInputs
from agelens.data.dataset import Dataset
from agelens.data.storage import read_object, write_json
from agelens.errors import AgelensError, DatasetError
from agelens.evaluation import metrics, predictions
from agelens.evaluation.figures import CENTRAL
from agelens.evaluation.predictions import ModelOutputs
from agelens.inference.distribution import AGES
from agelens.output.tables import replacing
from agelens.training.batches.features import backbone_features, face_descriptors
from agelens.training.networks import backbones
from agelens.training.networks.layers import Standardise
from agelens.training.networks.loss import Targets, batch_loss, face_losses, label_targets
from agelens.training.recipes.config import LossConfig

BACKBONES = ("faceres-deep", "dlib")
FILE = "out-of-fold.parquet"  # in a data set's folder
HEAD_BATCH = 256


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Hyperparameters of a head and its training."""

    hidden: int = 512  # units between features and outputs; 0: no hidden layer
    dropout: float = 0.3  # before the outputs; half of it before the hidden layer
    epochs: int = 10
    rate: float = 1e-3  # maximum of a one-cycle schedule (Smith and Topin, 2019)
    decay: float = 0.05
    loss: LossConfig = field(default_factory=LossConfig)


class Head(nn.Module):
    """Map standardised features to 117 age logits and one female logit."""

    def __init__(self, features: Tensor, ages: Tensor, recipe: HeadRecipe) -> None:
        """Initialise from the training features (N, 2, F) and ages (N,)."""
        super().__init__()
        width, hidden = features.shape[-1], recipe.hidden
        self.norm = Standardise(width)
        self.norm.fit(features.flatten(0, 1).float())
        self.layers = nn.Sequential(nn.Dropout(recipe.dropout / 2))
        if hidden:
            self.layers.extend([nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(recipe.dropout)])
        last = nn.Linear(hidden or width, AGES + 1)
        self.layers.append(last)
        counts = torch.bincount(ages, minlength=AGES) + 1.0
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias[:AGES] = (counts / counts.sum()).log()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (B, F) to logits (B, 117) and (B,)."""
        logits = self.layers(self.norm(x.float()))
        return logits[:, :AGES], logits[:, AGES]


DEFAULT_RECIPE = HeadRecipe()


def train_head(
    features: Tensor, ages: Tensor, female: Tensor, seed: int, recipe: HeadRecipe = DEFAULT_RECIPE,
    teacher: Targets | None = None, weights: Tensor | None = None,
) -> Head:  # fmt: skip
    """Train a head on the features (N, 2, F) of chips and mirror images, one of both at random.

    `teacher` holds targets that `recipe.loss.teacher` mixes in, `weights` (N,) sample weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(features, ages, recipe)
        targets = label_targets(ages, female, recipe.loss)
        if teacher is not None:
            targets = targets.mix(teacher, recipe.loss.teacher)
        optimizer = torch.optim.AdamW(head.parameters(), recipe.rate, weight_decay=recipe.decay)
        batches = -(-len(ages) // HEAD_BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.rate, total_steps=recipe.epochs * batches, pct_start=0.15
        )
        for _ in range(recipe.epochs):
            order = torch.randperm(len(ages))
            side = torch.randint(2, (len(ages),))
            for start in range(0, len(ages), HEAD_BATCH):
                picked = order[start : start + HEAD_BATCH]
                age_logits, female_logits = head(features[picked, side[picked]])
                losses = face_losses(age_logits, female_logits, targets.take(picked), recipe.loss)
                if weights is not None:
                    losses = losses * weights[picked]
                optimizer.zero_grad(set_to_none=True)
                batch_loss(losses, recipe.loss.trim).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return head.eval()


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels and folds of N faces: the data set's own, or those of a benchmark."""

    ages: NDArray[np.int64]  # (N,), years
    female: NDArray[np.int64]  # (N,), 0 or 1
    folds: NDArray[np.int64]  # (N,)

    @classmethod
    def of(cls, dataset: Dataset) -> "Labels":
        """Read a data set's own. Raises DatasetError where a gender or a second fold is missing."""
        samples = dataset.samples
        if unlabelled := samples["gender"].null_count():
            raise DatasetError(
                f"{unlabelled:,} of {len(dataset):,} samples in {str(dataset.folder)!r} carry no "
                "gender, which out-of-fold answers need; import a source that has it"
            )
        if samples["fold"].n_unique() < 2:
            raise DatasetError(
                f"all samples in {str(dataset.folder)!r} are in one fold: out-of-fold answers "
                "need at least two; add more pictures and import again"
            )
        columns = (samples["age"], samples["gender"] == "female", samples["fold"])
        return cls(*(column.to_numpy().astype(np.int64) for column in columns))


def predict_folds(
    features: NDArray[np.float16], labels: Labels, seeds: int, progress: Progress,
    trusted: NDArray[np.bool_] | None = None,
) -> ModelOutputs:  # fmt: skip
    """Predict every face by heads trained on the other folds.

    Takes the features of chips and mirror images, float16 (N, 2, F), and returns the mean over
    both and over the seeds. `trusted` (N,) are the faces to train on; by default all.
    """
    inputs = torch.from_numpy(np.asarray(features))
    ages, female = torch.from_numpy(labels.ages), torch.from_numpy(labels.female)
    answers = ModelOutputs(np.zeros((len(ages), AGES), np.float32), np.zeros(len(ages), np.float64))
    folds = np.unique(labels.folds)
    task = progress.add_task("heads for each fold", total=len(folds) * seeds)
    for fold in folds:
        own = np.flatnonzero(labels.folds == fold)
        train = (labels.folds != fold) & (True if trusted is None else trusted)
        others = torch.from_numpy(np.flatnonzero(train))
        for seed in range(seeds):
            head = train_head(inputs[others], ages[others], female[others], seed)
            with torch.inference_mode():
                for side in (0, 1):
                    age_logits, female_logits = head(inputs[own, side])
                    answers.age_probabilities[own] += age_logits.softmax(-1).numpy()
                    answers.female_probability[own] += female_logits.sigmoid().numpy()
            progress.advance(task)
    answers.age_probabilities[:] /= 2 * seeds
    answers.female_probability[:] /= 2 * seeds
    progress.remove_task(task)
    return answers


def predict_out_of_fold(
    dataset: Dataset, progress: Progress, backbones: tuple[str, ...] = BACKBONES, seeds: int = 2,
    split: int | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:  # fmt: skip
    """Return a row per face, as `evaluation.predictions.prediction_table` does, and a record.

    With `split` only the training faces of that split are predicted and trained on, so that a
    student of the predictions learns nothing about the validation and test folds. age_low and
    age_high are the quantiles 5 % and 95 %. Raises TrainingError where a backbone's files are
    missing, DatasetError for labels or pictures that cannot be used.
    """
    labels, rows = Labels.of(dataset), np.arange(len(dataset))
    if split is not None:
        rows = dataset.split(split).train
        labels = Labels(labels.ages[rows], labels.female[rows], labels.folds[rows])
    samples = dataset.samples[rows]
    began = time.monotonic()
    parts = [backbone_features(dataset, backbone, progress) for backbone in backbones]
    extracted = time.monotonic()
    answers = predict_folds(np.concatenate(parts, axis=-1)[rows], labels, seeds, progress)
    ended = time.monotonic()
    faces = predictions.labelled_faces(samples, answers, CENTRAL)
    accuracy = metrics.gender_accuracy(faces.female_probability, labels.female)
    about = {
        "data": dataset.fingerprint, "backbones": list(backbones), "seeds": seeds, "split": split,
        "faces": len(samples),
        "age_mae": round(metrics.age_mae(faces.age_median, labels.ages), 3),
        "cs5": round(metrics.cumulative_score(faces.age_median, labels.ages, 5), 4),
        "gender_accuracy": round(accuracy, 4),
        "seconds": {"features": round(extracted - began, 1), "heads": round(ended - extracted, 1)},
    }  # fmt: skip
    return predictions.prediction_table(samples, answers, faces), about


def write(table: pl.DataFrame, about: dict[str, Any], path: Path) -> None:
    """Write the predictions as Parquet, and their record as JSON beside it."""
    with replacing(path, "wb") as file:
        table.write_parquet(file)
    write_json(path.with_suffix(".json"), about)


def audit_inputs(
    data: Path, given: Path | None, progress: Progress
) -> tuple[AuditInputs, dict[str, float]]:
    """Return out-of-fold predictions, face descriptors and painting scores; and seconds per step.

    `given` are predictions to use. Otherwise those in the data set's folder are used if they are
    of the data as they are, or else made there. What cannot be computed is left out, with the
    reason.
    """
    dataset = Dataset(data)
    installed, reasons, seconds = [], [], {}
    for backbone in BACKBONES:
        try:
            backbones.locate(backbone)
            installed.append(backbone)
        except AgelensError as error:
            reasons.append(str(error))
    descriptors = painting_scores = None
    missing, file = "; ".join(reasons), data / FILE
    record = read_object(file.with_suffix(".json"))
    whole = record.get("data") == dataset.fingerprint and record.get("split") is None
    predicted = given or (file if whole else None)
    try:
        for backbone in installed:
            began = time.perf_counter()
            features = backbone_features(dataset, backbone, progress)
            if backbone == face_problems.BACKBONE:
                step = "look for painted faces"
                painting_scores = face_problems.painting_score(features[:, 0])
            else:
                step, descriptors = "describe the faces", face_descriptors(features)
            seconds[f"{step} ({backbone})"] = round(time.perf_counter() - began, 2)
        if predicted is None and installed:
            table, about = predict_out_of_fold(dataset, progress, tuple(installed))
            write(table, about, file)
            predicted = file
            seconds["features of the faces"] = about["seconds"]["features"]
            seconds["train heads for each fold"] = about["seconds"]["heads"]
    except (AgelensError, OSError) as error:
        missing = f"{error}."
    missing = "" if predicted else missing
    return AuditInputs(predicted, descriptors, painting_scores, missing), seconds
