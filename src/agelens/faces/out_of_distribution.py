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

_SIDE, _BLOCK, _CELL, _BINS = 64, 16, 8, 9  # pixels, and orientations of a cell


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
    middle = np.ascontiguousarray(chip[MIDDLE, MIDDLE])
    grey = cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
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
    with np.load(FILE) as fitted:
        return fitted["mean"].astype(np.float32), fitted["ways"].astype(np.float32)
