"""Compute a frozen network's features for every chip of a data set once, and cache them there.

The features are stored as `NAME.npy` in the data set's folder, with a JSON file beside it that
says which network and which pictures they are of. They do not depend on labels, so relabelling
leaves them valid.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError, PictureError
from agelens.inference.runtime import CHIP
from agelens.training.networks import checkpoint
from agelens.training.networks.device import best_seconds, keep_freed_memory

BATCH = 64
_CHECKPOINT_EVERY = 10  # batches


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """A frozen network that turns chips into features."""

    name: str  # of the cache file, without suffix
    title: str  # for the progress display
    fingerprint: dict[str, Any]  # JSON values that identify the network and its preprocessing
    width: int  # F
    extract: Callable[[NDArray[np.uint8]], Tensor]  # uint8 (B, 200, 200, 3) RGB to (B, F)


def cached_features(
    dataset: Dataset, extractor: FeatureExtractor, progress: Progress
) -> NDArray[np.float16]:
    """Return the features of every chip and its mirror image, float16 (N, 2, F), memory-mapped.

    Rows are those of the data set. The first call computes the features, in bfloat16 where that
    is faster; it can be interrupted, and a second process waits for the first. Raises
    DatasetError for a picture that cannot be read.
    """
    file = dataset.folder / f"{extractor.name}.npy"
    fingerprint = {**extractor.fingerprint, "pictures": _picture_digest(dataset)}
    if not _is_current(file, fingerprint):
        with FileLock(file.with_suffix(".lock")):
            if not _is_current(file, fingerprint):
                _compute(dataset, extractor, file, fingerprint, progress)
    features: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return features


def _compute(
    dataset: Dataset,
    extractor: FeatureExtractor,
    file: Path,
    fingerprint: dict[str, Any],
    progress: Progress,
) -> None:
    keep_freed_memory()
    partial, checkpoint_file = file.with_suffix(".part"), file.with_suffix(".part.json")
    state = _read_matching(checkpoint_file, fingerprint)
    if state is None or not partial.is_file():
        state = fingerprint | {"precision": _faster_precision(extractor), "done": 0}
        shape = (len(dataset), 2, extractor.width)
        np.lib.format.open_memmap(partial, "w+", np.float16, shape).flush()
    array = np.lib.format.open_memmap(partial, "r+")
    done = state["done"]  # first all chips, then all mirror images
    task = progress.add_task(extractor.title, total=2 * len(dataset), completed=done)
    for side in (0, 1):
        row = done - side * len(dataset)
        for number, batch in enumerate(_read_chips(dataset, row), 1):
            chips_seen = np.ascontiguousarray(batch[:, :, ::-1]) if side else batch
            array[row : row + len(batch), side] = _run(extractor, chips_seen, state["precision"])
            row, done = row + len(batch), done + len(batch)
            progress.update(task, completed=done)
            if number % _CHECKPOINT_EVERY == 0:
                array.flush()
                checkpoint.write_json(checkpoint_file, state | {"done": done})
    array.flush()
    progress.remove_task(task)
    partial.replace(file)
    checkpoint.write_json(
        file.with_suffix(".json"), fingerprint | {"precision": state["precision"]}
    )
    checkpoint_file.unlink(missing_ok=True)


def _read_chips(dataset: Dataset, first: int) -> Iterator[NDArray[np.uint8]]:
    try:
        yield from chips.batches(map(dataset.image_path, range(first, len(dataset))), BATCH, 1)
    except PictureError as error:
        raise DatasetError(
            f"a picture of the dataset cannot be used: {error}; import the data again"
        ) from error


def _run(
    extractor: FeatureExtractor, batch: NDArray[np.uint8], precision: str
) -> NDArray[np.float32]:
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        return extractor.extract(batch).float().numpy()


def _faster_precision(extractor: FeatureExtractor) -> str:
    blank = np.zeros((16, CHIP, CHIP, 3), np.uint8)
    return min(
        ("bfloat16", "float32"),
        key=lambda precision: best_seconds(lambda: _run(extractor, blank, precision)),
    )


def _picture_digest(dataset: Dataset) -> str:
    """SHA-256 of the pictures in the order of the rows."""
    digest = hashlib.sha256()
    for row in dataset.samples.select("file", "sha256").iter_rows():
        digest.update(("\t".join(row) + "\n").encode())
    return digest.hexdigest()


def _is_current(file: Path, fingerprint: dict[str, Any]) -> bool:
    return file.is_file() and _read_matching(file.with_suffix(".json"), fingerprint) is not None


def _read_matching(path: Path, fingerprint: dict[str, Any]) -> dict[str, Any] | None:
    """Read a JSON file, if it is of the same pictures and network."""
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content if fingerprint.items() <= content.items() else None
