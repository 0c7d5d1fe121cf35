"""Tell faces that look drawn or painted by the features of a frozen face network.

`paintings.npz` holds a line through the 1,024 features of the backbone faceres-deep for each of six
ways in which photos were turned into pictures (watercolour, pencil, poster, cartoon, ...). It was
fitted and measured by benchmarks/painting_detection.py. What it finds is what a face network sees
as unlike a photo: also prints in dots, masks and strongly edited photos; soft oil paintings and
statues often escape it. Being fitted on UTKFace, the file is for non-commercial research only.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("paintings.npz")
BACKBONE = "faceres-deep"
"""The network whose features are taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines through features, each scaled to unit deviation over photos."""

    mean: NDArray[np.float32]  # (F,), of photos
    weights: NDArray[np.float32]  # (K, F)
    limit: float  # of the score, which one photo in 500 passes


def score(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give how much faces look painted, (N,), of the backbone's features (N, 1024)."""
    return by_lines(features, shipped())


def by_lines(features: NDArray[np.floating], lines: Lines) -> NDArray[np.float64]:
    """Give the furthest that features (N, F) are along any of the lines, in deviations (N,)."""
    along = (flat(features) - lines.mean) @ lines.weights.T
    return np.asarray(along.max(axis=1), np.float64)


def flat(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Take the root of features, which are skewed and never below 0."""
    return np.sqrt(np.maximum(np.asarray(features, np.float32), 0))


@cache
def shipped() -> Lines:
    """Read the lines that come with the package."""
    with np.load(FILE, allow_pickle=False) as kept:
        return Lines(kept["mean"], kept["weights"], float(kept["limit"]))
