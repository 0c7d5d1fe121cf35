"""What a frozen network says of every chip of a dataset: computed once, kept in its folder.

The numbers stand in `NAME.npy`, with a JSON file beside it that says what they were made of.
Labels do not matter to them, so relabelling leaves them valid.
"""

import hashlib
import json
import time
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
from agelens.training.networks.allocator import keep_memory

BATCH = 64
_KEEP_EVERY = 10  # batches between two marks of how far a run has come

Describe = Callable[[NDArray[np.uint8]], Tensor]
"""Takes chips, uint8 (B, 200, 200, 3) RGB; gives (B, F)."""


@dataclass(frozen=True, slots=True)
class Describer:
    """A frozen network, and what tells it from others."""

    name: str  # of the file, without ending
    title: str  # for the progress display
    made_of: dict[str, Any]  # JSON values; others of them mean other numbers
    width: int  # F
    describe: Describe


def remember(dataset: Dataset, by: Describer, progress: Progress) -> NDArray[np.float16]:
    """Give the numbers of every chip and of its mirror image, float16 (N, 2, F), memory-mapped.

    Rows are the dataset's. The first call computes them, in bfloat16 where that is faster; one
    that was stopped goes on, and one that comes second waits for the first. Raises DatasetError
    for a picture that cannot be read.
    """
    file = dataset.folder / f"{by.name}.npy"
    made_of = {**by.made_of, "pictures": _pictures(dataset)}
    if not _there(file, made_of):
        with FileLock(file.with_suffix(".lock")):
            if not _there(file, made_of):
                _compute(dataset, by, file, made_of, progress)
    kept: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return kept


def _compute(
    dataset: Dataset, by: Describer, file: Path, made_of: dict[str, Any], progress: Progress
) -> None:
    keep_memory()
    partial, mark = file.with_suffix(".part"), file.with_suffix(".part.json")
    begun = _begun(mark, made_of)
    if begun is None or not partial.is_file():
        begun = made_of | {"precision": _faster(by.describe), "done": 0}
        shape = (len(dataset), 2, by.width)
        np.lib.format.open_memmap(partial, "w+", np.float16, shape).flush()
    array = np.lib.format.open_memmap(partial, "r+")
    done = begun["done"]  # first all chips, then all mirror images
    task = progress.add_task(by.title, total=2 * len(dataset), completed=done)
    for side in (0, 1):
        place = done - side * len(dataset)
        for number, batch in enumerate(_decoded(dataset, place), 1):
            shown = np.ascontiguousarray(batch[:, :, ::-1]) if side else batch
            array[place : place + len(batch), side] = _run(by.describe, shown, begun["precision"])
            place, done = place + len(batch), done + len(batch)
            progress.update(task, completed=done)
            if number % _KEEP_EVERY == 0:
                array.flush()
                checkpoint.write_json(mark, begun | {"done": done})
    array.flush()
    progress.remove_task(task)
    partial.replace(file)
    checkpoint.write_json(file.with_suffix(".json"), made_of | {"precision": begun["precision"]})
    mark.unlink(missing_ok=True)


def _decoded(dataset: Dataset, first: int) -> Iterator[NDArray[np.uint8]]:
    try:
        yield from chips.batches(map(dataset.image_path, range(first, len(dataset))), BATCH, 1)
    except PictureError as error:
        raise DatasetError(
            f"a picture of the dataset cannot be used: {error}; import the data again"
        ) from error


def _run(describe: Describe, batch: NDArray[np.uint8], precision: str) -> NDArray[np.float32]:
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        return describe(batch).float().numpy()


def _faster(describe: Describe) -> str:
    blank = np.zeros((16, CHIP, CHIP, 3), np.uint8)

    def seconds(precision: str) -> float:
        runs = []
        for _ in range(3):
            began = time.perf_counter()
            _run(describe, blank, precision)
            runs.append(time.perf_counter() - began)
        return min(runs[1:])

    return min(("bfloat16", "float32"), key=seconds)


def _pictures(dataset: Dataset) -> str:
    """SHA-256 of the pictures in the order of the rows."""
    digest = hashlib.sha256()
    for row in dataset.samples.select("file", "sha256").iter_rows():
        digest.update(("\t".join(row) + "\n").encode())
    return digest.hexdigest()


def _there(file: Path, made_of: dict[str, Any]) -> bool:
    return file.is_file() and _begun(file.with_suffix(".json"), made_of) is not None


def _begun(mark: Path, made_of: dict[str, Any]) -> dict[str, Any] | None:
    """Read a mark or stamp, if it is of the same pictures and network."""
    if not mark.is_file():
        return None
    said: dict[str, Any] = json.loads(mark.read_text("utf-8"))
    return said if made_of.items() <= said.items() else None
