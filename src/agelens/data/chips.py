"""Chips of a dataset, 200 x 200 RGB: decoded as they are needed, or once into a file."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens import images
from agelens.data.dataset import Dataset
from agelens.errors import PictureError
from agelens.runtime import CHIP

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
    resized: NDArray[np.uint8] = cv2.resize(  # type: ignore[assignment]
        picture, (CHIP, CHIP), interpolation=cv2.INTER_AREA
    )
    return resized


def batches(
    paths: Iterable[Path], size: int, threads: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Decode chips in order, uint8 (B, 200, 200, 3) with B = `size`, in the last one fewer.

    Up to two batches are decoded ahead in `threads` threads, while the caller works on one.
    Raises PictureError for what is not a usable picture.
    """
    files = iter(paths)
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                while len(waiting) < 3 * size and (path := next(files, None)) is not None:
                    waiting.append(pool.submit(read, path))
                if not waiting:
                    return
                yield np.stack([waiting.popleft().result() for _ in range(min(size, len(waiting)))])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def cached(dataset: Dataset, progress: "Progress") -> NDArray[np.uint8]:
    """Give all chips of a dataset, uint8 (N, 200, 200, 3) RGB, memory-mapped.

    The file `chips.npy` is made on the first call, in the order of the samples.
    """
    file = dataset.folder / "chips.npy"
    stamp = file.with_suffix(".json")
    fingerprint = dataset.fingerprint
    if file.is_file() and stamp.is_file():
        if json.loads(stamp.read_text("utf-8")).get("fingerprint") == fingerprint:
            chips: NDArray[np.uint8] = np.load(file, mmap_mode="r")
            return chips
        stamp.unlink()
    partial = file.with_suffix(".part")
    _decode_all(dataset, partial, progress)
    partial.replace(file)
    stamp.write_text(json.dumps({"fingerprint": fingerprint}), "utf-8")
    loaded: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    return loaded


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
