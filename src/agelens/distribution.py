"""What an age distribution says: its mean, its quantiles, its median.

A distribution is 117 probabilities, one for each whole age 0-116. To read off
fractions of a year, the mass of age k is spread evenly over [k - 0.5, k + 0.5].
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

AGES = 117
"""Whole ages a model distinguishes: 0 to 116 years."""


def mean(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Give the expected age in years, float64 (...), of probabilities (..., 117)."""
    p = np.asarray(probabilities, np.float64)
    centre: NDArray[np.float64] = p @ np.arange(p.shape[-1], dtype=np.float64)
    return centre


def quantile(probabilities: ArrayLike, level: float) -> NDArray[np.float64]:
    """Give the age in years below which `level` (0 to 1) of the mass lies.

    Takes (..., 117), gives float64 (...), clipped to [0, 116].
    Raises ValueError for a level outside 0 to 1.
    """
    if not 0 <= level <= 1:
        raise ValueError(f"level {level!r} is not a share: expected 0 to 1")
    p = np.asarray(probabilities, np.float64)
    below = np.cumsum(p, axis=-1)
    below /= below[..., -1:]
    k = np.minimum((below < level).sum(axis=-1), p.shape[-1] - 1)[..., None]
    upper = np.take_along_axis(below, k, -1)[..., 0]
    lower = np.where(k > 0, np.take_along_axis(below, np.maximum(k - 1, 0), -1), 0.0)[..., 0]
    mass = upper - lower
    into = np.divide(level - lower, mass, out=np.full_like(mass, 0.5), where=mass > 0)
    age: NDArray[np.float64] = np.clip(k[..., 0] - 0.5 + into, 0, p.shape[-1] - 1)
    return age


def median(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Give the median age in years, float64 (...), of probabilities (..., 117)."""
    return quantile(probabilities, 0.5)
