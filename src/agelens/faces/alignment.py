"""Align faces: cut chips onto the five-landmark template of the training chips."""

import numpy as np
from numpy.typing import NDArray

from agelens.images.decode import Picture
from agelens.images.resample import cut
from agelens.results import Landmarks

SIDE = 200
TEMPLATE = np.array(
    [(59.0, 57.7), (138.2, 59.6), (96.5, 104.3), (62.8, 136.5), (131.0, 137.6)], np.float64
)
"""Median place of right eye, left eye, nose and mouth corners in a 200 px UTKFace chip."""


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the similarity transform (2, 3) that takes points (N, 2) closest to targets (N, 2).

    Least squares over rotation, uniform scale and shift, never a reflection: S. Umeyama,
    "Least-squares estimation of transformation parameters between two point patterns", PAMI 13(4),
    1991. Raises ValueError if all points coincide.
    """
    source_centre, target_centre = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_centre, target - target_centre
    spread = float((a * a).sum())
    if not spread > 0:
        raise ValueError("no similarity transform: all source points coincide")
    u, weights, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    matrix = (u * signs) @ vt * float((weights * signs).sum()) / spread
    return np.column_stack([matrix, target_centre - matrix @ source_centre])


def warp(picture: Picture, landmarks: Landmarks, size: int = SIDE) -> Picture:
    """Cut the aligned chip around one face, in one resampling.

    Takes uint8 (H, W, 3) RGB and the landmarks in pixels; returns uint8 (size, size, 3), black
    beyond the picture's edges as in UTKFace. Raises ValueError if all landmarks coincide.
    """
    # Fitted from picture to chip, where the errors should be small, and then inverted.
    matrix = similarity(landmarks.array(), TEMPLATE * (size / SIDE))
    inverse = np.linalg.inv(matrix[:, :2])
    return cut(picture, np.column_stack([inverse, -inverse @ matrix[:, 2]]), size, cubic=True)
