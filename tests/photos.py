"""Drawn photos that are as unlike as real ones, and their copies."""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def photo(seed: int, side: int = 200) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def encoded(pixels: NDArray[np.uint8], quality: int = 95, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=quality)
    return file.getvalue()
