"""What pre-trained face networks can say for the audit of a dataset, as far as they are at hand."""

import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from agelens.data.audit import paintings
from agelens.data.audit.out_of_fold import ModelOutputs
from agelens.data.dataset import Dataset
from agelens.errors import AgelensError
from agelens.training.batches.features import embed, extract
from agelens.training.experiments import out_of_fold
from agelens.training.networks import pretrained

FILE = "out-of-fold.parquet"
"""Where answers are kept in a dataset folder."""


def ask(
    data: Path, given: Path | None, progress: Progress
) -> tuple[ModelOutputs, dict[str, float]]:
    """Get out-of-fold answers, face descriptors, and how painted faces look; and each step's time.

    `given` are answers to take. Otherwise those in the dataset folder are taken if they are of
    the dataset as it is, or else made there. What cannot be had is left out, with the reason.
    """
    dataset = Dataset(data)
    seconds: dict[str, float] = {}
    at_hand, missing = _at_hand()
    descriptors: NDArray[np.float32] | None = None
    looks: NDArray[np.float64] | None = None
    answers = given or _kept(dataset)
    try:
        if "dlib" in at_hand:
            began = time.perf_counter()
            descriptors = embed(extract(dataset, "dlib", progress))
            seconds["describe the faces (dlib)"] = round(time.perf_counter() - began, 2)
        if paintings.BACKBONE in at_hand:
            began = time.perf_counter()
            looks = paintings.score(extract(dataset, paintings.BACKBONE, progress)[:, 0])
            step = f"look for painted faces ({paintings.BACKBONE})"
            seconds[step] = round(time.perf_counter() - began, 2)
        if answers is None and at_hand:
            table, about = out_of_fold.out_of_fold(dataset, progress, at_hand)
            answers = data / FILE
            out_of_fold.write(table, about, answers)
            seconds["features of the faces"] = about["seconds"]["features"]
            seconds["train heads for each fold"] = about["seconds"]["heads"]
    except (AgelensError, OSError) as error:
        missing = f"{error}."
    return ModelOutputs(answers, descriptors, looks, "" if answers else missing), seconds


def _at_hand() -> tuple[tuple[str, ...], str]:
    """Give the backbones whose files are there, and why others are not."""
    found, reasons = [], []
    for backbone in out_of_fold.BACKBONES:
        try:
            pretrained.locate(backbone)
            found.append(backbone)
        except AgelensError as error:
            reasons.append(str(error))
    return tuple(found), "; ".join(reasons)


def _kept(dataset: Dataset) -> Path | None:
    """Give the answers in the dataset folder, if they are of all its faces as they are."""
    file = dataset.folder / FILE
    try:
        about = json.loads(file.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    whole = about.get("split") is None and about.get("data") == dataset.fingerprint
    return file if whole and file.is_file() else None
