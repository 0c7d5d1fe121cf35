"""What an audit of a data set needs from pre-trained networks, as far as they are installed."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from agelens.data.audit import paintings
from agelens.data.audit.out_of_fold import ModelOutputs
from agelens.data.dataset import Dataset
from agelens.errors import AgelensError
from agelens.training.batches.features import backbone_features, face_descriptors
from agelens.training.experiments import out_of_fold
from agelens.training.networks import backbones

FILE = "out-of-fold.parquet"
"""The predictions in a data set's folder."""


def audit_inputs(
    data: Path, given: Path | None, progress: Progress
) -> tuple[ModelOutputs, dict[str, float]]:
    """Return out-of-fold predictions, face descriptors and painting scores; and seconds per step.

    `given` are predictions to use. Otherwise those in the data set's folder are used if they are
    of the data as they are, or else made there. What cannot be computed is left out, with the
    reason.
    """
    dataset = Dataset(data)
    seconds: dict[str, float] = {}
    installed, missing = _installed()
    descriptors: NDArray[np.float32] | None = None
    painting_scores: NDArray[np.float64] | None = None
    predictions = given or _current_predictions(dataset)

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[step] = round(time.perf_counter() - began, 2)

    try:
        if "dlib" in installed:
            with timed("describe the faces (dlib)"):
                descriptors = face_descriptors(backbone_features(dataset, "dlib", progress))
        if paintings.BACKBONE in installed:
            with timed(f"look for painted faces ({paintings.BACKBONE})"):
                features = backbone_features(dataset, paintings.BACKBONE, progress)
                painting_scores = paintings.score(features[:, 0])
        if predictions is None and installed:
            table, about = out_of_fold.predict_out_of_fold(dataset, progress, installed)
            predictions = data / FILE
            out_of_fold.write(table, about, predictions)
            seconds["features of the faces"] = about["seconds"]["features"]
            seconds["train heads for each fold"] = about["seconds"]["heads"]
    except (AgelensError, OSError) as error:
        missing = f"{error}."
    models = ModelOutputs(predictions, descriptors, painting_scores, "" if predictions else missing)
    return models, seconds


def _installed() -> tuple[tuple[str, ...], str]:
    """Return the backbones whose files are there, and why others are not."""
    installed, reasons = [], []
    for backbone in out_of_fold.BACKBONES:
        try:
            backbones.locate(backbone)
            installed.append(backbone)
        except AgelensError as error:
            reasons.append(str(error))
    return tuple(installed), "; ".join(reasons)


def _current_predictions(dataset: Dataset) -> Path | None:
    """Return the predictions in the data set's folder, if they are of all its faces as they are."""
    file = dataset.folder / FILE
    try:
        about = json.loads(file.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    current = about.get("split") is None and about.get("data") == dataset.fingerprint
    return file if current and file.is_file() else None
