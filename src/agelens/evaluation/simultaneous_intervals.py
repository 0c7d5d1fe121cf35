"""Many differences at once, each with an interval, such that all hold together.

With twenty groups looked at, one 95 % interval in twenty misses the truth by chance alone. These
are as much wider as it takes for all of them to hold 19 times in 20: the bootstrap distribution
of the largest studentised deviation sets their width (the max-T method of Westfall and Young,
1993).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation.bootstrap import LEVEL, Draws, Figure, Weights, divide
from agelens.evaluation.groups import LEAST

METHOD = (
    "simultaneous 95% intervals: all rows of one figure in a table hold together 19 times in 20"
)
"""Said where such intervals are shown."""

Rows = Sequence[NDArray[np.bool_]]
"""Groups of faces, as masks (N,)."""


def intervals(point: NDArray[np.float64], draws: Draws) -> list[Figure]:
    """Give figures of point values (K,) and their draws (R, K); NaN where one is not defined."""
    kept = np.isfinite(point) & np.isfinite(draws).all(axis=0)
    low, high = np.full(len(point), np.nan), np.full(len(point), np.nan)
    if kept.any():
        chosen = draws[:, kept]
        spread = chosen.std(axis=0)
        off = np.abs(chosen - chosen.mean(axis=0))
        t = np.divide(off, spread, out=np.zeros_like(off), where=spread > 1e-12)
        reach = float(np.quantile(t.max(axis=1), LEVEL)) * spread
        low[kept], high[kept] = point[kept] - reach, point[kept] + reach
    return [Figure(*map(float, ends)) for ends in zip(point, low, high, strict=True)]


def in_groups(rows: Rows, values: NDArray[np.float64], weights: Weights) -> list[Figure]:
    """Give the mean of values (N,) in each group; NaN values do not count.

    Groups under LEAST faces get no interval.
    """
    if not len(rows):
        return []
    point = _means(rows, values, np.ones((1, weights.shape[1])))[0]
    draws = _means(rows, values, weights)
    draws[:, [mask.sum() < LEAST for mask in rows]] = np.nan
    return intervals(point, draws)


def against_rest(mask: NDArray[np.bool_], values: NDArray[np.float64], drawn: Weights) -> Draws:
    """Give by how much the mean of values (N,) of some faces exceeds that of all others, (R,)."""
    means = _means([mask, ~mask], values, drawn)
    gap: Draws = means[:, 0] - means[:, 1]
    return gap


def excludes_zero(figure: Figure) -> bool:
    """Tell whether a difference is more than chance: its interval is there and excludes 0."""
    return figure.low > 0 or figure.high < 0


def _means(rows: Rows, values: NDArray[np.float64], drawn: Weights) -> Draws:
    counted = np.isfinite(values)
    masks = np.column_stack([mask & counted for mask in rows])
    filled = np.where(counted, values, 0)[:, None]
    return divide(drawn @ (masks * filled).astype(drawn.dtype), drawn @ masks.astype(drawn.dtype))
