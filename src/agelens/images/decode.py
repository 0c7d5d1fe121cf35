"""Decode pictures: bytes, files, arrays and PIL images become upright RGB, within limits.

The size is read from the header before any pixel is decoded. The EXIF orientation is applied.
Transparent pixels become white. 16-bit channels keep their high byte. Of an animation only the
first frame is used. Every failure is a PictureError.
"""

import io
import os
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from agelens.errors import BadPicture, PictureError, PictureTooLarge

Picture = NDArray[np.uint8]
"""Upright RGB, uint8 (H, W, 3)."""

# Not all plugins of Pillow: some run other programs (EPS), most are not for photos.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".ppm", ".tif", ".tiff", ".webp"}
)
"""File endings of pictures in a folder, in lower case."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a picture's size, checked before it is decoded."""

    pixels: int = 100_000_000  # width x height; 300 MB as RGB
    bytes: int = 100_000_000  # of the encoded file


DEFAULT_LIMITS = Limits()

# Python's warning filters are global, so only one thread at a time may change them.
_filters = threading.Lock()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(  # a forked process must not inherit a lock that another thread holds
        before=_filters.acquire, after_in_parent=_filters.release, after_in_child=_filters.release
    )


def read(source: str | Path | bytes, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Decode a file or its bytes to upright RGB, uint8 (H, W, 3).

    Raises BadPicture for what cannot be decoded (not a picture, truncated, of an unknown format,
    an unreadable file) and PictureTooLarge above the limits.
    """
    data = source if isinstance(source, bytes) else _load(Path(source), limits)
    _check_bytes(len(data), limits)
    if not data:
        raise BadPicture("empty file: expected a picture (JPEG, PNG, WebP, ...)")
    try:
        with _open(data, limits) as image:
            return _upright(image)
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise BadPicture(
            f"not a picture that can be read: expected one of {', '.join(FORMATS)}"
        ) from None
    except MemoryError:
        raise PictureTooLarge("not enough memory to decode this picture") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ...
        reason = str(error).strip() or type(error).__name__
        raise BadPicture(f"damaged or cut off picture: {reason}") from error


def from_pil(image: Image.Image, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Convert a PIL image of any mode to upright RGB, uint8 (H, W, 3).

    Raises BadPicture for a file that cannot be decoded, PictureTooLarge above the limit.
    """
    _check_size(*image.size, limits)
    try:
        return _upright(image)
    except BadPicture:
        raise
    except Exception as error:
        raise BadPicture(f"PIL image cannot be decoded: {error}") from error


def from_array(array: NDArray[Any], limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Convert uint8 RGB (H, W, 3), RGBA (H, W, 4) or grey (H, W) or (H, W, 1) to RGB.

    Returns contiguous uint8 (H, W, 3). Raises BadPicture for another shape or dtype,
    PictureTooLarge above the limit.
    """
    shape = array.shape
    good = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if array.dtype != np.uint8 or not good or 0 in shape:
        raise BadPicture(
            f"array of shape {shape} and dtype {array.dtype}: "
            "expected uint8 RGB (H, W, 3) or grey (H, W), neither side 0"
        )
    _check_size(shape[1], shape[0], limits)
    if len(shape) == 2 or shape[2] == 1:
        return np.repeat(array.reshape(*shape[:2], 1), 3, axis=2)
    contiguous = np.ascontiguousarray(array)
    return contiguous if shape[2] == 3 else _upright(Image.fromarray(contiguous))


def _load(path: Path, limits: Limits) -> bytes:
    try:
        _check_bytes(path.stat().st_size, limits)
        return path.read_bytes()
    except FileNotFoundError:
        raise BadPicture(f"no such file: {str(path)!r}") from None
    except IsADirectoryError:
        raise BadPicture(f"{str(path)!r} is a folder: expected a picture file") from None
    except OSError as error:
        raise BadPicture(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read only the header, without Pillow's warnings about size and metadata."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.init()  # loads the plugins once; a build of Pillow may lack some
        formats = [name for name in FORMATS if name in Image.OPEN]
        try:
            image = Image.open(io.BytesIO(data), formats=formats)
        except Image.DecompressionBombError:
            raise PictureTooLarge(
                f"picture of far more than {limits.pixels:,} pixels: make it smaller first"
            ) from None
        _check_size(*image.size, limits)
        # Parse the metadata here: outside the lock its warnings would be shown.
        if image.format in ("JPEG", "MPO", "TIFF", "WEBP"):
            image.getexif()
    return image


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width < 1 or height < 1:
        raise BadPicture(f"picture of {width} x {height} pixels: expected at least 1 x 1")
    if width * height > limits.pixels:
        raise PictureTooLarge(
            f"picture of {width} x {height} pixels: "
            f"the limit is {limits.pixels:,} pixels; make it smaller first"
        )


def _check_bytes(size: int, limits: Limits) -> None:
    if size > limits.bytes:
        raise PictureTooLarge(f"file of {size:,} bytes: the limit is {limits.bytes:,} bytes")


def _upright(image: Image.Image) -> Picture:
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"), np.uint8)


def _deep_grey(values: NDArray[Any]) -> Picture:
    """Convert 16-bit integers, or floats of 0-1 or 0-255, to 8 bits."""
    deep = values.astype(np.float64)
    if not np.isfinite(deep).all():
        raise BadPicture("pixels that are infinite or not a number")
    top = deep.max()
    if values.dtype.kind == "f" and top <= 1:
        deep *= 255
    elif top > 255:
        deep /= 257  # 65535 -> 255
    grey = np.clip(np.rint(deep), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
