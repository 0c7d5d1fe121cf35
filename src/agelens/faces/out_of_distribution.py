"""Score how far a chip lies outside the distribution of the training faces.

Edge orientations (N. Dalal, B. Triggs, "Histograms of oriented gradients", 2005) are reconstructed
from the first twenty principal components of training faces (as in M. Turk, A. Pentland,
"Eigenfaces for recognition", 1991); the squared reconstruction error is the score. Grey values do
not work: a mask is smoother than a face, so it is reconstructed better. The file
`out_of_distribution.npz` is fitted by `benchmarks/out_of_distribution.py`.
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.images.decode import Picture

FILE = Path(__file__).with_name("out_of_distribution.npz")
MIDDLE = slice(20, 180)
"""Rows and columns of a chip that count: from the eyebrows to the chin."""

_SIDE = 64  # pixels to which the middle is shrunk


def out_of_distribution_score(chip: Picture) -> float:
    """Return the reconstruction error of a chip, uint8 (200, 200, 3) RGB: 0 to 16."""
    mean, components = _fitted()
    centred = hog_features(chip) - mean
    return float(((centred - components.T @ (components @ centred)) ** 2).sum())


def hog_features(chip: Picture) -> NDArray[np.float32]:
    """Return the histograms of oriented gradients of a chip, float32 (576,).

    There are 16 blocks of 4 cells with 9 orientations each. A block has norm 1, or less if smooth.
    """
    middle = np.ascontiguousarray(chip[MIDDLE, MIDDLE])
    grey = cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(_descriptor().compute(small), np.float32).ravel()


@cache
def _descriptor() -> cv2.HOGDescriptor:
    return cv2.HOGDescriptor((_SIDE, _SIDE), (16, 16), (16, 16), (8, 8), 9)


@cache
def _fitted() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read the mean (576,) and the principal components (20, 576)."""
    with np.load(FILE) as fitted:
        return fitted["mean"].astype(np.float32), fitted["ways"].astype(np.float32)
