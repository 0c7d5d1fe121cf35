"""Face -> chip, by the same five-point template as the training chips."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agelens.images.decode import Picture
from agelens.images.resample import cut
from agelens.results import Landmarks

SIDE = 200
TEMPLATE = np.array(
    [(59.0, 57.7), (138.2, 59.6), (96.5, 104.3), (62.8, 136.5), (131.0, 137.6)], np.float64
)
"""Where right eye, left eye, nose and mouth corners stand in a 200 px UTKFace chip (median)."""


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the similarity (2, 3) that takes points (N, 2) nearest to targets (N, 2).

    Least squares over rotation, uniform scale and shift, never a mirror image:
    S. Umeyama, "Least-squares estimation of transformation parameters between two
    point patterns", PAMI 13(4), 1991. Raises ValueError when all points coincide.
    """
    from_centre, to_centre = source.mean(axis=0), target.mean(axis=0)
    a, b = source - from_centre, target - to_centre
    spread = float((a * a).sum())
    if not spread > 0:
        raise ValueError("no similarity: all source points coincide")
    u, weights, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    matrix = (u * signs) @ vt * float((weights * signs).sum()) / spread
    return np.column_stack([matrix, to_centre - matrix @ from_centre])


def warp(picture: Picture, landmarks: Landmarks, size: int = SIDE) -> Picture:
    """Cut the aligned chip around one face, in one resampling.

    Takes uint8 (H, W, 3) RGB and five points in pixels; gives uint8 (size, size, 3),
    black beyond the picture's edges as in UTKFace. Raises ValueError when all points
    coincide.
    """
    template = TEMPLATE * (size / SIDE)
    # Fitted picture -> chip, where the errors should be small, and then turned round.
    return cut(picture, _inverse(similarity(landmarks.array(), template)), size)


def warp_all(picture: Picture, faces: Sequence[Landmarks], size: int = SIDE) -> Picture:
    """Cut the chips of N faces: uint8 (N, size, size, 3)."""
    chips = np.empty((len(faces), size, size, 3), np.uint8)
    for chip, landmarks in zip(chips, faces, strict=True):
        chip[:] = warp(picture, landmarks, size)
    return chips


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])
