"""Face quality: find out why a face is too poorly visible to be predicted reliably.

Measured are its size, sharpness and brightness, and the share beyond the picture's edge. Each
threshold stands where the age error of the shipped model has risen by a quarter, on validation
faces that were shrunk, blurred, darkened and so on (`benchmarks/uncertainty.py`). Sunglasses and
slightly turned heads are not reported, since errors there are hardly larger.

A face with none of these issues may still be out of distribution: covered, turned far away, or
upside down. Its edge orientations (N. Dalal, B. Triggs, "Histograms of oriented gradients", 2005)
are reconstructed from the first twenty principal components of training faces (as in M. Turk,
A. Pentland, "Eigenfaces for recognition", 1991); the squared error is the score. Grey values do not
work: a mask is smoother than a face. `benchmarks/out_of_distribution.py` fits the components and
the threshold, which one validation face in a hundred exceeds.
"""

import math
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.faces.alignment import SIDE, TEMPLATE, similarity
from agelens.images.decode import Picture
from agelens.results import Landmarks, Reason

CENTRE = slice(SIDE // 5, SIDE - SIDE // 5)  # eyes, nose and mouth: no hair, no background

FITTED = Path(__file__).with_name("out_of_distribution.npz")
# A detection is doubtful where its out-of-distribution score is above slope * score - offset. No
# true face measured by benchmarks/doubtful_detections.py is; most animals and things are.
DOUBTFUL_SLOPE, DOUBTFUL_OFFSET = 20.0, 12.0
CERTAIN_FACE = 0.92  # detection score from which nothing is doubtful
MIDDLE = slice(20, 180)  # eyebrows to chin, for the out-of-distribution score

_GRID = np.linspace(CENTRE.start, CENTRE.stop, 13)
_GRID_POINTS = np.stack(np.meshgrid(_GRID, _GRID), axis=-1).reshape(-1, 2)
_SIDE, _BLOCK, _CELL, _BINS = 64, 16, 8, 9  # of the histograms: pixels, and orientations of a cell


THRESHOLDS = {
    Reason.TOO_SMALL: 26.2,  # pixels of the picture along a chip's side; less is too small
    Reason.BLURRED: 0.149,  # sharpness; less is blurred
    Reason.DARK: 25.8,  # brightness; less is dark
    Reason.BRIGHT: 236.8,  # brightness; more is bright
    Reason.CUT_OFF: 0.399,  # share beyond the picture's edge; more is cut off
    Reason.UNLIKE: 3.26,  # out-of-distribution score; more is unlike the training faces
}
"""Thresholds beyond which a face counts as poorly visible."""


def quality_issues(
    chip: Picture, landmarks: Landmarks | None = None, width: int = 0, height: int = 0
) -> tuple[Reason, ...]:
    """Return the reasons why a face is poorly visible; empty if it is well visible.

    Takes the chip, uint8 (200, 200, 3) RGB, and, if it was cut out of a picture, its landmarks in
    that picture and the picture's width and height in pixels.
    """
    small = cut = False
    if landmarks is not None:
        small = source_size(landmarks) < THRESHOLDS[Reason.TOO_SMALL]
        cut = share_outside(landmarks, width, height) > THRESHOLDS[Reason.CUT_OFF]
    light = brightness(chip)
    # A small face is never sharp, and beyond the picture's edge all is black.
    found = {
        Reason.TOO_SMALL: small,
        Reason.CUT_OFF: cut,
        Reason.BLURRED: not small and sharpness(chip) < THRESHOLDS[Reason.BLURRED],
        Reason.DARK: not cut and light < THRESHOLDS[Reason.DARK],
        Reason.BRIGHT: light > THRESHOLDS[Reason.BRIGHT],
    }
    issues = tuple(reason for reason, applies in found.items() if applies)
    if not issues and out_of_distribution_score(chip) > THRESHOLDS[Reason.UNLIKE]:
        return (Reason.UNLIKE,)
    return issues


def is_doubtful(chip: Picture, score: float) -> bool:
    """Tell whether a chip, uint8 (200, 200, 3) RGB, is rather an animal or a thing than a face.

    `score` is the detector's, 0 to 1. The lower it is, the less the chip may differ from the
    training faces.
    """
    if score >= CERTAIN_FACE:
        return False
    return out_of_distribution_score(chip) > DOUBTFUL_SLOPE * score - DOUBTFUL_OFFSET


def source_size(landmarks: Landmarks) -> float:
    """Return the pixels of the picture along the chip's side, two thirds of which is face."""
    return SIDE / math.sqrt(float(np.linalg.det(similarity(landmarks.array(), TEMPLATE)[:, :2])))


def brightness(chip: Picture) -> float:
    """Return the median grey value in the middle of a chip, 0 to 255."""
    return float(np.median(_grey(chip, CENTRE)))


def sharpness(chip: Picture) -> float:
    """Return the share of local contrast that a 9 x 9 px box blur removes in the middle of a chip.

    From 0 to 1: an already blurred chip loses little (F. Crété et al., "The blur effect", 2007).
    """
    grey = _grey(chip, CENTRE).astype(np.float32)
    before, after = (
        float(np.abs(np.diff(values, axis=0)).sum() + np.abs(np.diff(values, axis=1)).sum())
        for values in (grey, np.asarray(cv2.blur(grey, (9, 9)), np.float32))
    )
    return 1 - after / before if before else 0.0


def share_outside(landmarks: Landmarks, width: int, height: int) -> float:
    """Return the share of the middle of the chip beyond the picture's edges, 0 to 1."""
    matrix = similarity(landmarks.array(), TEMPLATE)
    x, y = np.linalg.solve(matrix[:, :2], (_GRID_POINTS - matrix[:, 2]).T)
    return float(((x < 0) | (y < 0) | (x > width) | (y > height)).mean())


def _grey(chip: Picture, part: slice) -> NDArray[np.uint8]:
    middle = np.ascontiguousarray(chip[part, part])
    return np.asarray(cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY), np.uint8)


def out_of_distribution_score(chip: Picture) -> float:
    """Return the reconstruction error of a chip, uint8 (200, 200, 3) RGB: 0 to 16."""
    mean, components = _fitted()
    centred = hog_features(chip) - mean
    return float(((centred - components.T @ (components @ centred)) ** 2).sum())


def hog_features(chip: Picture) -> NDArray[np.float32]:
    """Return the histograms of oriented gradients of a chip, float32 (576,).

    There are 16 blocks of 4 cells with 9 orientations each. A block has norm 1, or less if smooth.
    The values are those of `cv2.HOGDescriptor`, which OpenCV 5 no longer has.
    """
    small = cv2.resize(_grey(chip, MIDDLE), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    padded = np.pad(small.astype(np.float32), 1, mode="reflect")
    magnitude, angle = cv2.cartToPolar(
        padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    )
    # Each pixel votes for the two orientations next to its own.
    orientation = (angle * (_BINS / np.pi) - 0.5).ravel()
    lower = np.floor(orientation).astype(np.int64)
    vote = magnitude.ravel() * (orientation - lower)
    pixels = np.arange(_SIDE * _SIDE)
    votes = np.zeros((_SIDE * _SIDE, _BINS), np.float32)
    votes[pixels, lower % _BINS] = magnitude.ravel() - vote
    votes[pixels, (lower + 1) % _BINS] = vote
    count = _SIDE // _BLOCK
    blocks = votes.reshape(count, _BLOCK, count, _BLOCK, _BINS).transpose(2, 0, 1, 3, 4)
    histograms = _cell_weights() @ blocks.reshape(count * count, _BLOCK * _BLOCK, _BINS)
    features = histograms.reshape(count * count, -1)
    features = features / (np.linalg.norm(features, axis=1, keepdims=True) + 3.6)
    features = np.minimum(features, 0.2)  # then normalised again, as in "L2-Hys"
    features = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-3)
    return np.asarray(features.ravel(), np.float32)


@cache
def _cell_weights() -> NDArray[np.float32]:
    """Return the weight of each pixel of a block for its 4 cells, (4, 256)."""
    place = np.arange(_BLOCK)
    bilinear = np.clip(1 - np.abs((place + 0.5) / _CELL - 0.5 - np.arange(2)[:, None]), 0, 1)
    axis = bilinear * np.exp(-((place - _BLOCK / 2) ** 2) / (2 * (_BLOCK / 4) ** 2))
    return np.asarray(np.einsum("jx,iy->jiyx", axis, axis).reshape(4, -1), np.float32)


@cache
def _fitted() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read the mean (576,) and the principal components (20, 576)."""
    with np.load(FITTED) as fitted:
        return fitted["mean"].astype(np.float32), fitted["ways"].astype(np.float32)
