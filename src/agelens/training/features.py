"""Features of every chip of a dataset by a frozen pre-trained backbone, computed once.

They stand in the dataset folder as `features-NAME.npy`, with a JSON file beside it that says
what they were made of. Labels do not matter to them, so relabelling leaves them valid.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError, PictureError, TrainingError
from agelens.runtime import CHIP
from agelens.training import checkpoint, dlib_resnet, pretrained
from agelens.training.config import ModelConfig

BATCH = 64
_KEEP_EVERY = 10  # batches between two marks of how far a run has come


@dataclass(frozen=True, slots=True)
class View:
    """How chips are shown to a backbone."""

    size: int  # pixels, the side the backbone sees
    padding: float  # share of the chip's side put around it in black, on every side


VIEWS = {"faceres-deep": View(224, 0.1), "dlib": View(dlib_resnet.SIZE, 0.0)}
"""What each backbone was trained to see, or sees best."""


def extract(dataset: Dataset, backbone: str, progress: Progress) -> NDArray[np.float16]:
    """Give features of every chip and of its mirror image, float16 (N, 2, F), memory-mapped.

    Rows are the dataset's. The first call computes them, in bfloat16 where that is faster; one
    that was stopped goes on. Raises TrainingError for an unknown backbone or one whose files
    are missing, DatasetError for a picture that cannot be read.
    """
    if backbone not in VIEWS:
        known = ", ".join(VIEWS)
        raise TrainingError(f"no frozen features of {backbone!r}: expected one of {known}")
    file = dataset.folder / f"features-{backbone}.npy"
    made_of = {"backbone": backbone, "pictures": _pictures(dataset), **_view(VIEWS[backbone])}
    if not _valid(file, made_of):
        _compute(dataset, backbone, file, made_of, progress)
    features: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return features


def embed(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Give dlib's 128-number face descriptor of the features of chips by `dlib`, (N, 128).

    Two faces are one person's below a distance of 0.6 (King, 2017), one photo's below 0.15.
    """
    net = dlib_resnet.DlibResNet(embedding=True)
    net.load_dlib(pretrained.locate("dlib"))
    if net.embedding is None:  # for the type checker
        raise TypeError("no embedding")
    matrix = net.embedding.weight.detach().numpy()
    made: NDArray[np.float32] = features[:, 0].astype(np.float32) @ matrix.T
    return made


def _compute(
    dataset: Dataset, backbone: str, file: Path, made_of: dict[str, Any], progress: Progress
) -> None:
    net = pretrained.build(ModelConfig(backbone=backbone)).eval().requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    view = VIEWS[backbone]
    partial, mark = file.with_suffix(".part"), file.with_suffix(".part.json")
    shape = (len(dataset), 2, int(net.features))
    begun = _begun(mark, made_of)
    if begun is None or not partial.is_file():
        begun = made_of | {"precision": _faster(net, view), "done": 0}
        np.lib.format.open_memmap(partial, "w+", np.float16, shape).flush()
    array = np.lib.format.open_memmap(partial, "r+")
    done = begun["done"]  # first all chips, then all mirror images
    task = progress.add_task(f"features by {backbone}", total=2 * len(dataset), completed=done)
    for side in (0, 1):
        place = done - side * len(dataset)
        for number, batch in enumerate(_decoded(dataset, place), 1):
            shown = show(batch[:, :, ::-1] if side else batch, view)
            array[place : place + len(batch), side] = _run(net, shown, begun["precision"])
            place, done = place + len(batch), done + len(batch)
            progress.update(task, completed=done)
            if number % _KEEP_EVERY == 0:
                array.flush()
                checkpoint.write_json(mark, begun | {"done": done})
    array.flush()
    progress.remove_task(task)
    partial.replace(file)
    checkpoint.write_json(_stamp(file), made_of | {"precision": begun["precision"]})
    mark.unlink(missing_ok=True)


def _decoded(dataset: Dataset, first: int) -> Iterator[NDArray[np.uint8]]:
    try:
        yield from chips.batches(map(dataset.image_path, range(first, len(dataset))), BATCH, 1)
    except PictureError as error:
        raise DatasetError(
            f"a picture of the dataset cannot be used: {error}; import the data again"
        ) from error


def show(batch: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Pad and resize chips, uint8 (B, 200, 200, 3), to uint8 (B, size, size, 3)."""
    edge = round(CHIP * view.padding)
    made = np.empty((len(batch), view.size, view.size, 3), np.uint8)
    for place, chip in enumerate(batch):
        if edge:
            chip = np.pad(chip, ((edge, edge), (edge, edge), (0, 0)))
        made[place] = cv2.resize(chip, (view.size, view.size), interpolation=cv2.INTER_AREA)
    return made


def _run(net: nn.Module, pictures: NDArray[np.uint8], precision: str) -> NDArray[np.float32]:
    """Give the mean of the last feature map, float32 (B, F)."""
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        # (B, S, S, 3) seen as (B, 3, S, S) is what channels_last means
        x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
        last: Tensor = net(x)
        return last.float().mean((2, 3)).numpy()


def _faster(net: nn.Module, view: View) -> str:
    blank = np.zeros((16, view.size, view.size, 3), np.uint8)

    def seconds(precision: str) -> float:
        runs = []
        for _ in range(3):
            began = time.perf_counter()
            _run(net, blank, precision)
            runs.append(time.perf_counter() - began)
        return min(runs[1:])

    return min(("bfloat16", "float32"), key=seconds)


def _pictures(dataset: Dataset) -> str:
    """SHA-256 of the pictures in the order of the rows."""
    digest = hashlib.sha256()
    for row in dataset.samples.select("file", "sha256").iter_rows():
        digest.update(("\t".join(row) + "\n").encode())
    return digest.hexdigest()


def _view(view: View) -> dict[str, Any]:
    return {"size": view.size, "padding": view.padding}


def _stamp(file: Path) -> Path:
    return file.with_suffix(".json")


def _valid(file: Path, made_of: dict[str, Any]) -> bool:
    return file.is_file() and _begun(_stamp(file), made_of) is not None


def _begun(mark: Path, made_of: dict[str, Any]) -> dict[str, Any] | None:
    """Read a mark or stamp, if it is of the same pictures, backbone and view."""
    if not mark.is_file():
        return None
    said: dict[str, Any] = json.loads(mark.read_text("utf-8"))
    return said if made_of.items() <= said.items() else None
