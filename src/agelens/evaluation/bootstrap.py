"""How sure a figure is: the bootstrap, for any figure that can weigh its faces.

A statistic takes weights (R, N), one row for each resample, and gives R values. Weights of
one give the figure itself; the counts of faces drawn with replacement give its spread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[Any]  # floats (R, N)
Draws = NDArray[np.float64]
Statistic = Callable[[Weights], Draws]

RESAMPLES = 2000
LEVEL = 0.95
SEED = 20170116
_NORMAL = NormalDist()
METHOD = (
    f"bootstrap, {RESAMPLES} resamples of pictures (byte-identical ones together), "
    "bias-corrected percentile interval (Efron, 1981)"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its interval; NaN where it is not defined (no faces, one class only)."""

    value: float
    low: float
    high: float

    def table(self) -> dict[str, float | None]:
        """Give JSON values; what is not defined is None."""
        return {name: _finite(getattr(self, name)) for name in ("value", "low", "high")}


def resample(clusters: NDArray[Any], resamples: int = RESAMPLES, seed: int = SEED) -> Weights:
    """Draw weights, float32 (resamples, N): how often each face is drawn.

    Faces with equal entries in `clusters` (N,) are drawn together: the same photo twice is
    not two observations.
    """
    _, member = np.unique(clusters, return_inverse=True)
    count = int(member.max()) + 1 if len(member) else 0
    random = np.random.default_rng(seed)
    weights = np.empty((resamples, len(member)), np.float32)
    for row in weights:
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        row[:] = drawn[member]
    return weights


def mean(values: NDArray[Any]) -> Statistic:
    """Give the statistic of the mean of values (N,) or (N, K); NaN values do not count.

    It gives (R,) or (R, K).
    """
    counted = np.isfinite(values)

    def statistic(weights: Weights) -> Draws:
        filled = np.where(counted, values, 0).astype(weights.dtype)
        whole = counted if not counted.all() else np.ones((len(values),) + (1,) * (values.ndim - 1))
        return divide(weights @ filled, weights @ whole.astype(weights.dtype))

    return statistic


def median(values: NDArray[np.float64]) -> Statistic:
    """Give the statistic of the median of values (N,), the lower one between two."""
    order = np.argsort(values, kind="stable")

    def statistic(weights: Weights) -> Draws:
        if not len(values):
            return np.full(len(weights), np.nan)
        below = np.cumsum(weights[:, order], axis=1)
        place = (below < below[:, -1:] / 2).sum(axis=1)
        picked: Draws = values[order][np.minimum(place, len(values) - 1)]
        return picked

    return statistic


def estimate(statistic: Statistic, weights: Weights) -> list[Figure]:
    """Give the figures of a statistic, one for each column of its answer (one if it is flat)."""
    point = statistic(np.ones((1, weights.shape[1])))
    draws = statistic(weights)
    return intervals(np.atleast_1d(point[0]), draws.reshape(len(draws), -1))


def intervals(point: NDArray[np.float64], draws: Draws) -> list[Figure]:
    """Give figures of point values (K,) and their draws (R, K).

    The bias-corrected percentile interval (Efron, 1981): figures that cannot fall below zero,
    like the calibration error, are drawn too high, and it takes that back.
    """
    figures = []
    for value, column in zip(point, draws.T, strict=True):
        kept = column[np.isfinite(column)]
        if not np.isfinite(value) or not len(kept):
            figures.append(Figure(float(value), np.nan, np.nan))
            continue
        # Draws that differ by rounding alone are ties; ties count half on either side.
        near = np.isclose(kept, value, rtol=1e-6, atol=1e-9)
        below = ((kept < value) & ~near).mean() + near.mean() / 2
        shift = _NORMAL.inv_cdf(float(np.clip(below, 1 / (2 + len(kept)), 1 - 1 / (2 + len(kept)))))
        tail = _NORMAL.inv_cdf((1 - LEVEL) / 2)
        ends = _NORMAL.cdf(2 * shift + tail), _NORMAL.cdf(2 * shift - tail)
        low, high = np.quantile(kept, ends)
        figures.append(Figure(float(value), float(min(low, value)), float(max(high, value))))
    return figures


def divide(a: NDArray[Any], b: NDArray[Any]) -> Draws:
    """Divide, in float64; NaN where b is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    share: Draws = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return share


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
