"""Resample pictures: cut a rotated, scaled square in one step, or resize.

Shrinking averages all pixels that fall into a target pixel, so that a face cut from a large photo
does not alias.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.images.decode import Picture

MOST_SAMPLES = 4  # per target pixel and axis; beyond, the source is first averaged in blocks


def cut(
    picture: Picture, to_source: NDArray[np.float64], size: int, *, cubic: bool = False
) -> Picture:
    """Cut a square, uint8 (size, size, 3), out of uint8 (H, W, 3); black beyond the edges.

    `to_source` (2, 3), a similarity transform, maps a point of the square to the picture, both in
    pixels with (0, 0) at the outer corner of the first pixel. Black is what dlib put beyond the
    photo's edge when UTKFace's chips were made. Enlarging is bilinear, or bicubic with `cubic`,
    which keeps a small face as sharp as a large one.
    """
    step = math.hypot(to_source[0, 0], to_source[1, 0])  # source pixels per target pixel
    source, matrix = _crop(picture, to_source, size)
    blocks = int(step // MOST_SAMPLES)
    if blocks > 1:  # average blocks of pixels, the edge padded with black
        below, right = -source.shape[0] % blocks, -source.shape[1] % blocks
        padded = cv2.copyMakeBorder(source, 0, below, 0, right, cv2.BORDER_CONSTANT)
        smaller = (padded.shape[1] // blocks, padded.shape[0] // blocks)
        source = np.asarray(cv2.resize(padded, smaller, interpolation=cv2.INTER_AREA), np.uint8)
        matrix /= blocks
        step /= blocks
    samples = max(1, min(MOST_SAMPLES, math.ceil(step - 0.25)))
    matrix[:, :2] /= samples
    # from outer-corner coordinates to OpenCV's, whose (0, 0) is the first pixel's centre
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    way = cv2.INTER_CUBIC if cubic and samples == 1 else cv2.INTER_LINEAR
    fine = cv2.warpAffine(
        source, matrix, (size * samples, size * samples), flags=way | cv2.WARP_INVERSE_MAP
    )
    if samples > 1:
        fine = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(fine, np.uint8)


def shrink(picture: Picture, width: int, height: int) -> Picture:
    """Resize uint8 (H, W, 3) to uint8 (height, width, 3): by area if smaller, else bilinear."""
    if picture.shape[:2] == (height, width):
        return picture
    smaller = width * height < picture.shape[0] * picture.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=way), np.uint8)


def _crop(
    picture: Picture, to_source: NDArray[np.float64], size: int
) -> tuple[Picture, NDArray[np.float64]]:
    """Crop the picture to what the square can touch: OpenCV's warp ends at 32,767 px."""
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)], np.float64)
    reached = corners @ to_source[:, :2].T + to_source[:, 2]
    margin = 2 + math.hypot(to_source[0, 0], to_source[1, 0])
    low = np.floor(reached.min(axis=0) - margin).astype(int)
    high = np.ceil(reached.max(axis=0) + margin).astype(int)
    height, width = picture.shape[:2]
    left, top = (int(v) for v in np.clip(low, 0, (width - 1, height - 1)))
    right, bottom = (int(v) for v in np.clip(high, (left + 1, top + 1), (width, height)))
    moved = to_source.copy()
    moved[:, 2] -= (left, top)
    return picture[top:bottom, left:right], moved
