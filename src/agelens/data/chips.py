"""Read the chips of a data set, 200 x 200 RGB: each when needed, or all once into a file."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.data.dataset import Dataset
from agelens.data.storage import read_object, write_json
from agelens.errors import PictureError
from agelens.faces.pipeline import prefetch
from agelens.images import decode as images
from agelens.inference.runtime import CHIP

if TYPE_CHECKING:
    from rich.progress import Progress


def read(path: Path) -> NDArray[np.uint8]:
    """Decode one chip, uint8 (200, 200, 3) RGB; another size is resampled by area.

    Raises PictureError, with the file's name, for what is not a usable picture.
    """
    try:
        picture = images.read(path)
    except PictureError as error:
        raise type(error)(f"{path.name}: {error}") from error
    if picture.shape[:2] == (CHIP, CHIP):
        return picture
    resized = cv2.resize(picture, (CHIP, CHIP), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def batches(
    paths: Iterable[Path], size: int, threads: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Decode chips in order, uint8 (B, 200, 200, 3) with B = `size`, in the last one fewer.

    Up to two batches are decoded ahead in `threads` threads, while the caller works on one.
    Raises PictureError for what is not a usable picture.
    """
    workers = threads or os.cpu_count() or 1
    chips = prefetch(read, paths, workers, "decode", ahead=max(workers, 3 * size - 1))
    while batch := list(itertools.islice(chips, size)):
        yield np.stack(batch)


def cached(dataset: Dataset, progress: "Progress") -> NDArray[np.uint8]:
    """Return all chips of a dataset, uint8 (N, 200, 200, 3) RGB, memory-mapped.

    The file `chips.npy` is made on the first call, in the order of the samples.
    """
    if (chips := _cached(dataset)) is not None:
        return chips
    file = dataset.folder / "chips.npy"
    stamp, part = file.with_suffix(".json"), file.with_suffix(f".{os.getpid()}.part")
    stamp.unlink(missing_ok=True)
    try:  # two processes may do this at once: each has a file of its own, and the same content
        _decode_all(dataset, part, progress)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    write_json(stamp, {"fingerprint": dataset.fingerprint})
    return np.asanyarray(np.load(file, mmap_mode="r"), np.uint8)


def reader(dataset: Dataset) -> Callable[[int], NDArray[np.uint8]]:
    """Return a function from row number to chip: decoded, or from `chips.npy` where that is.

    It may be called from many threads, and raises PictureError as `read`. The file is not
    mapped, since every page of a map that was touched counts as memory of the process.
    """
    if _cached(dataset) is None:
        return lambda row: read(dataset.image_path(row))
    file = dataset.folder / "chips.npy"
    size = CHIP * CHIP * 3
    start = file.stat().st_size - len(dataset) * size  # behind the header

    def pick(row: int) -> NDArray[np.uint8]:
        pixels = np.fromfile(file, np.uint8, size, offset=start + row * size)
        return pixels.reshape(CHIP, CHIP, 3)

    return pick


def _cached(dataset: Dataset) -> NDArray[np.uint8] | None:
    file = dataset.folder / "chips.npy"
    if read_object(file.with_suffix(".json")).get("fingerprint") != dataset.fingerprint:
        return None
    try:
        chips: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    except (OSError, ValueError):
        return None
    return chips if chips.shape == (len(dataset), CHIP, CHIP, 3) else None


def _decode_all(dataset: Dataset, file: Path, progress: "Progress") -> None:
    array = np.lib.format.open_memmap(file, "w+", np.uint8, (len(dataset), CHIP, CHIP, 3))
    task = progress.add_task("decoding chips", total=len(dataset))

    def decode(index: int) -> None:
        array[index] = read(dataset.image_path(index))
        progress.advance(task)

    with ThreadPoolExecutor() as pool:
        list(pool.map(decode, range(len(dataset))))
    array.flush()
    progress.remove_task(task)
