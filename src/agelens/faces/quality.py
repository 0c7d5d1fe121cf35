"""Face quality: find out why a face is too poorly visible to be predicted reliably.

Measured are its size, sharpness and brightness, and the share beyond the picture's edge. Each
threshold stands where the age error of the shipped model has risen by a quarter, on validation
faces that were shrunk, blurred, darkened and so on; `benchmarks/uncertainty.py` finds them and
measures how often each is right. A face with none of these issues may still be out of distribution:
covered from the nose down, turned far away, or upside down. One validation face in a hundred
exceeds that threshold (`benchmarks/out_of_distribution.py`). Sunglasses and slightly turned heads
are not reported, since errors there are hardly larger.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.faces.alignment import SIDE, TEMPLATE, similarity
from agelens.faces.out_of_distribution import out_of_distribution_score
from agelens.images.decode import Picture
from agelens.results import Landmarks, Reason

CENTRE = slice(SIDE // 5, SIDE - SIDE // 5)
"""Rows and columns of a chip with eyes, nose and mouth, without hair and background."""

_GRID = np.linspace(CENTRE.start, CENTRE.stop, 13)
_GRID_POINTS = np.stack(np.meshgrid(_GRID, _GRID), axis=-1).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds beyond which a face counts as poorly visible."""

    size: float = 26.2  # pixels of the picture along a chip's side; less is too small
    sharpness: float = 0.149  # less is blurred
    dark: float = 25.8  # brightness; less is dark
    bright: float = 236.8  # brightness; more is bright
    outside: float = 0.399  # share beyond the edge; more is cut off
    out_of_distribution: float = 3.26  # score; more is unlike the training faces


def quality_issues(
    chip: Picture,
    landmarks: Landmarks | None = None,
    width: int = 0,
    height: int = 0,
    thresholds: Thresholds = Thresholds(),
) -> tuple[Reason, ...]:
    """Return the reasons why a face is poorly visible; empty if it is well visible.

    Takes the chip, uint8 (200, 200, 3) RGB, and, if it was cut out of a picture, its landmarks in
    that picture and the picture's width and height in pixels.
    """
    small = landmarks is not None and source_size(landmarks) < thresholds.size
    cut = landmarks is not None and share_outside(landmarks, width, height) > thresholds.outside
    light = brightness(chip)
    found = {
        Reason.TOO_SMALL: small,
        Reason.CUT_OFF: cut,
        Reason.BLURRED: not small
        and sharpness(chip) < thresholds.sharpness,  # small is never sharp
        Reason.DARK: not cut and light < thresholds.dark,  # beyond the edge all is black
        Reason.BRIGHT: light > thresholds.bright,
    }
    issues = tuple(reason for reason, applies in found.items() if applies)
    if not issues and out_of_distribution_score(chip) > thresholds.out_of_distribution:
        return (Reason.UNLIKE,)
    return issues


def source_size(landmarks: Landmarks) -> float:
    """Return the pixels of the picture along the chip's side, two thirds of which is face."""
    matrix = similarity(landmarks.array(), TEMPLATE)
    return SIDE / math.sqrt(float(np.linalg.det(matrix[:, :2])))


def brightness(chip: Picture) -> float:
    """Return the median grey value in the middle of a chip, 0 to 255."""
    return float(np.median(_grey_centre(chip)))


def sharpness(chip: Picture) -> float:
    """Return the share of local contrast that a 9 x 9 px box blur removes in the middle of a chip.

    From 0 to 1: an already blurred chip loses little (F. Crété et al., "The blur effect", 2007).
    """
    grey = _grey_centre(chip).astype(np.float32)
    before = _total_variation(grey)
    after = _total_variation(np.asarray(cv2.blur(grey, (9, 9)), np.float32))
    return 1 - after / before if before else 0.0


def share_outside(landmarks: Landmarks, width: int, height: int) -> float:
    """Return the share of the middle of the chip beyond the picture's edges, 0 to 1."""
    matrix = similarity(landmarks.array(), TEMPLATE)
    x, y = np.linalg.solve(matrix[:, :2], (_GRID_POINTS - matrix[:, 2]).T)
    return float(((x < 0) | (y < 0) | (x > width) | (y > height)).mean())


def _grey_centre(chip: Picture) -> NDArray[np.uint8]:
    middle = np.ascontiguousarray(chip[CENTRE, CENTRE])
    return np.asarray(cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY), np.uint8)


def _total_variation(grey: NDArray[np.floating]) -> float:
    return float(np.abs(np.diff(grey, axis=0)).sum() + np.abs(np.diff(grey, axis=1)).sum())
