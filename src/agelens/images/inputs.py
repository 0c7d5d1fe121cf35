"""Read the inputs that callers pass as pictures, whatever their type."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens.errors import BadPicture, SourceError
from agelens.images import decode
from agelens.images.resample import shrink

Input: TypeAlias = str | Path | bytes | NDArray[np.uint8] | Image.Image
"""One picture: a path, encoded bytes, uint8 RGB (H, W, 3) or grey (H, W), or a PIL image."""


def is_one(given: object) -> bool:
    """Tell one picture from several: a list, another iterable, or one array (B, H, W, 3)."""
    if isinstance(given, np.ndarray):
        return given.ndim != 4
    single = isinstance(given, (str, Path, bytes, bytearray, memoryview))
    return single or isinstance(given, Image.Image) or not isinstance(given, Iterable)


def read(given: Any) -> decode.Picture:
    """Return the upright pixels of an input: RGB, uint8 (H, W, 3).

    Raises SourceError for a path without a file, BadPicture if it is not a picture,
    PictureTooLarge above the limits.
    """
    if isinstance(given, np.ndarray):
        return decode.from_array(given)
    if isinstance(given, (bytes, bytearray, memoryview)):
        return decode.read(bytes(given))
    if isinstance(given, (str, Path)):
        if not os.path.lexists(given):  # unlike Path.exists, never raises
            raise SourceError(f"no such file: {str(given)!r}; check the path")
        if Path(given).is_dir():
            raise SourceError(
                f"{str(given)!r} is a folder: give its files as a list, or use  agelens predict"
            )
        return decode.read(given)
    if isinstance(given, Image.Image):
        return decode.from_pil(given)
    raise BadPicture(
        f"an input of type {type(given).__name__}: expected a path, bytes, "
        "a uint8 array (H, W, 3) or a PIL image"
    )


def as_chip(picture: decode.Picture, side: int) -> decode.Picture:
    """Resize an aligned square chip of any size to uint8 (side, side, 3).

    Raises BadPicture if it is not square.
    """
    height, width = picture.shape[:2]
    if height != width:
        raise BadPicture(
            f"chip of {width} x {height} pixels: expected a square, aligned to the UTKFace "
            "template; leave `chips` off to detect faces"
        )
    return shrink(picture, side, side)
