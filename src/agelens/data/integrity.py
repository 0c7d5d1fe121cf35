"""Is this a whole picture? It is decoded to its last line; the pixels are not kept."""

import hashlib
from dataclasses import dataclass

from agelens.errors import BadPicture
from agelens.images import decode

MIN_SIDE = 16
LIMITS = decode.Limits(pixels=64_000_000)


@dataclass(frozen=True, slots=True)
class Verified:
    """A picture that decodes whole."""

    width: int  # pixels, upright
    height: int  # pixels, upright
    sha256: str  # of the file's bytes, 64 hex digits


def verify_picture(content: bytes) -> Verified:
    """Check the bytes of a picture file.

    Raises BadPicture for what does not decode whole or has a side under 16 pixels, and
    PictureTooLarge for more than 64 million pixels, which is seen before it is decoded.
    """
    height, width = decode.read(content, LIMITS).shape[:2]
    if min(width, height) < MIN_SIDE:
        raise BadPicture(f"{width} x {height} pixels: expected at least {MIN_SIDE} on each side")
    return Verified(width, height, hashlib.sha256(content).hexdigest())
