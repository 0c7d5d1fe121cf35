"""Cut a face out as UTKFace's makers did: by dlib's 68 landmarks and dlib's own template.

The five landmarks of the detector move by some pixels with the size and the turn of a face, so they
only give a first chip. On it dlib's predictor finds 68 landmarks, from which dlib computes where
its chip would be. With a padding of 0.2 that is the very chip on UTKFace's own (median over 60
chips, to 0.3 px), so these were cut in this way.
"""

import math

import numpy as np
from numpy.typing import NDArray

from agelens.data.landmarks import Predictor
from agelens.faces.alignment import SIDE, TEMPLATE, similarity
from agelens.images.decode import Picture
from agelens.images.resample import cut
from agelens.results import Landmarks

PADDING = 0.2  # of dlib's template, on each side
LOOKS = 2  # the second, on the chip that the first gives, halves what is left
FURTHEST = 40.0  # pixels of the chip: an eye that moves further was not an eye


class Cutter:
    """Cuts chips; safe to use from several threads."""

    def __init__(self) -> None:
        """Load dlib's predictor. Raises MissingExtra where it is not installed."""
        self._predictor = Predictor()

    def cut(self, picture: Picture, landmarks: Landmarks) -> Picture:
        """Cut the chip, uint8 (200, 200, 3), of a face in RGB uint8 (H, W, 3), by its five points.

        It is cut in one resampling, and black beyond the picture's edges.
        """
        return cut(picture, self.place(picture, landmarks)[:2], SIDE)

    def place(self, picture: Picture, landmarks: Landmarks) -> NDArray[np.float64]:
        """Return the matrix (3, 3) from chip to picture.

        It is that of the five points alone where the 68 are far from them, as on a face that dlib
        does not make out.
        """
        inverse = np.linalg.inv(_square(similarity(landmarks.array(), TEMPLATE)))
        first = np.asarray(inverse, np.float64)
        back = first
        for _ in range(LOOKS):
            shape = self._predictor.shape(cut(picture, back[:2], SIDE))
            back = back @ _to_chip_before(shape)
        eyes = np.column_stack([TEMPLATE[:2], np.ones(2)])
        moved = eyes @ (np.linalg.inv(first) @ back).T
        near = np.linalg.norm(moved[:, :2] - TEMPLATE[:2], axis=1).max() <= FURTHEST
        return back if near else first


def _to_chip_before(shape: object) -> NDArray[np.float64]:
    """Return the matrix (3, 3) from dlib's chip to the picture that its points were found in."""
    import dlib

    details = dlib.get_face_chip_details(shape, SIDE, PADDING)
    box, angle = details.rect, details.angle
    scale = (box.right() - box.left()) / (SIDE - 1)  # dlib lays pixel centres on the box's sides
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    middle = np.array([box.left() + box.right(), box.top() + box.bottom()]) / 2
    linear = np.array([[c, -s], [s, c]])
    return _square(np.column_stack([linear, middle - linear @ np.full(2, (SIDE - 1) / 2)]))


def _square(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([matrix, [0.0, 0.0, 1.0]])
