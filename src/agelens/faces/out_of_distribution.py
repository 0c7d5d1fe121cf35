"""How unlike the faces of the training a chip is, by the outlines in its middle.

The directions of edges (N. Dalal, B. Triggs, "Histograms of oriented gradients", 2005) are rebuilt
from the twenty main ways in which those of training faces vary (as in M. Turk, A. Pentland,
"Eigenfaces for recognition", 1991), and what is left over is the figure. Grey values themselves
did not do: a mask is smoother than a face and was rebuilt all the better. The file
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
"""Of a chip, down and across: from the brows to the chin."""

_SIDE = 64  # pixels to which the middle is shrunk


def unlikeness(chip: Picture) -> float:
    """Give what is left over of the outlines of a chip, uint8 (200, 200, 3) RGB: 0 to 16."""
    mean, ways = _fitted()
    off = outlines(chip) - mean
    return float(((off - ways.T @ (ways @ off)) ** 2).sum())


def outlines(chip: Picture) -> NDArray[np.float32]:
    """Give the histograms of a chip, (576,): 16 blocks of 4 cells, 9 directions each.

    Each block has the length 1 or, where it is smooth, less.
    """
    middle = np.ascontiguousarray(chip[MIDDLE, MIDDLE])
    grey = cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(_histograms().compute(small), np.float32).ravel()


@cache
def _histograms() -> cv2.HOGDescriptor:
    return cv2.HOGDescriptor((_SIDE, _SIDE), (16, 16), (16, 16), (8, 8), 9)


@cache
def _fitted() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read the mean (576,) and the main ways to differ from it (20, 576)."""
    with np.load(FILE) as fitted:
        return fitted["mean"].astype(np.float32), fitted["ways"].astype(np.float32)
