"""How much of a chip's face lies beyond the edge of the photo it was cut from.

There the chip is filled up with black. Black background looks alike, but what a photo's edge
leaves of a chip is convex, and a head before a dark wall is not.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.images.decode import Picture

BLACK = 4  # largest channel up to which a pixel is black; JPEG leaves little in a flat area
CONVEX = 0.965  # share of its convex hull that the rest of the chip must fill
_SIDE = 67  # pixels at which it is measured

_y, _x = np.mgrid[:_SIDE, :_SIDE] * (200 / _SIDE)
_FACE: NDArray[np.bool_] = ((_x - 98) / 70) ** 2 + ((_y - 100) / 90) ** 2 <= 1
"""Where the template has the face."""


def beyond_edge(chip: Picture) -> float:
    """Give the share of the face's place, 0 to 1, that is fill, of uint8 (H, W, 3) RGB."""
    small = cv2.resize(chip, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
    dark = (small.max(axis=2) <= BLACK).astype(np.uint8)
    if not dark[_FACE].any():
        return 0.0
    _, spots = cv2.connectedComponents(dark, connectivity=4)
    at_rim = np.unique(np.concatenate([spots[0], spots[-1], spots[:, 0], spots[:, -1]]))
    fill = np.isin(spots, at_rim[at_rim > 0])
    rest = (~fill).astype(np.uint8)
    if not rest.any():
        return 1.0
    hull = np.zeros_like(rest)
    cv2.fillConvexPoly(hull, cv2.convexHull(cv2.findNonZero(rest)), [1])
    if rest.sum() < CONVEX * hull.sum():
        return 0.0
    return float(fill[_FACE].mean())
