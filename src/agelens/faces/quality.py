"""Is a face seen well enough to be judged? Its size, sharpness and light, and the picture's edge.

Each limit stands where the age error of the shipped model has risen by a quarter, on validation
faces that were made smaller, blurred, darkened and so on; `benchmarks/uncertainty.py` finds them
and tells how often each is right. What none of these explains may still be unlike the faces of the
training: covered from the nose down, turned far away, or upside down. That limit is passed by one
validation face in a hundred (`benchmarks/out_of_distribution.py`). Sunglasses are not told,
nor is a head that is turned a little: there the errors are hardly larger.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.faces.alignment import SIDE, TEMPLATE, similarity
from agelens.faces.out_of_distribution import unlikeness
from agelens.images.decode import Picture
from agelens.results import Landmarks, Reason

CENTRE = slice(SIDE // 5, SIDE - SIDE // 5)
"""Of a chip, down and across: eyes, nose and mouth, without hair and background."""

_GRID = np.linspace(CENTRE.start, CENTRE.stop, 13)
_POINTS = np.stack(np.meshgrid(_GRID, _GRID), axis=-1).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a face is seen poorly."""

    size: float = 26.2  # pixels of the picture under the side of the chip; less is too small
    sharpness: float = 0.149  # less is blurred
    dark: float = 25.8  # brightness; less is dark
    bright: float = 236.8  # brightness; more is bright
    outside: float = 0.399  # more is cut off
    unlike: float = 3.26  # more is unlike the training


def reasons(
    chip: Picture,
    landmarks: Landmarks | None = None,
    width: int = 0,
    height: int = 0,
    limits: Limits = Limits(),
) -> tuple[Reason, ...]:
    """Tell why a face is not seen well enough; nothing where it is.

    Takes its chip, uint8 (200, 200, 3) RGB, and, where it was cut out of a picture, its points in
    that picture and the picture's width and height in pixels.
    """
    found = []
    small = landmarks is not None and size(landmarks) < limits.size
    cut = landmarks is not None and outside(landmarks, width, height) > limits.outside
    light = brightness(chip)
    for reason, there in (
        (Reason.TOO_SMALL, small),
        (Reason.CUT_OFF, cut),
        (Reason.BLURRED, not small and sharpness(chip) < limits.sharpness),  # small is never sharp
        (Reason.DARK, not cut and light < limits.dark),  # beyond the edge all is black
        (Reason.BRIGHT, light > limits.bright),
    ):
        if there:
            found.append(reason)
    if not found and unlikeness(chip) > limits.unlike:
        return (Reason.UNLIKE,)
    return tuple(found)


def size(landmarks: Landmarks) -> float:
    """Give the pixels of the picture that the side of the chip spans; the face takes two thirds."""
    matrix = similarity(landmarks.array(), TEMPLATE)
    return SIDE / math.sqrt(float(np.linalg.det(matrix[:, :2])))


def brightness(chip: Picture) -> float:
    """Give the median of the grey values in the middle of a chip, 0 to 255."""
    return float(np.median(_grey(chip)))


def sharpness(chip: Picture) -> float:
    """Give the share of the grey steps in the middle of a chip that averaging 9 x 9 px takes away.

    0 to 1: what is blurred already loses little (F. Crété et al., "The blur effect", 2007).
    """
    grey = _grey(chip).astype(np.float32)
    before = _steps(grey)
    after = _steps(np.asarray(cv2.blur(grey, (9, 9)), np.float32))
    return 1 - after / before if before else 0.0


def outside(landmarks: Landmarks, width: int, height: int) -> float:
    """Give the share of the middle of the chip that lies beyond the picture's edges, 0 to 1."""
    matrix = similarity(landmarks.array(), TEMPLATE)
    x, y = np.linalg.solve(matrix[:, :2], (_POINTS - matrix[:, 2]).T)
    return float(((x < 0) | (y < 0) | (x > width) | (y > height)).mean())


def _grey(chip: Picture) -> NDArray[np.uint8]:
    middle = np.ascontiguousarray(chip[CENTRE, CENTRE])
    return np.asarray(cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY), np.uint8)


def _steps(grey: NDArray[np.floating]) -> float:
    """Add up the differences of neighbours, across and down."""
    return float(np.abs(np.diff(grey, axis=0)).sum() + np.abs(np.diff(grey, axis=1)).sum())
