"""Confidence intervals of many differences that hold together.

Of twenty 95 % intervals, one misses the truth by chance alone. Simultaneous intervals are wider,
so that all of them hold 19 times in 20: the bootstrap distribution of the largest studentised
deviation sets their width (the max-T method of Westfall and Young, 1993).
"""

from collections.abc import Sequence

import numpy as np

from agelens.evaluation.arrays import Draws, Floats, Mask, Weights
from agelens.evaluation.bootstrap import LEVEL, Estimate, divide
from agelens.evaluation.groups import MIN_GROUP_SIZE

METHOD = (
    "simultaneous 95% intervals: all rows of one figure in a table hold together 19 times in 20"
)
"""Shown beside such intervals."""


def intervals(point: Floats, draws: Draws) -> list[Estimate]:
    """Join point values (K,) and the intervals of their draws (R, K); NaN where not defined."""
    kept = np.isfinite(point) & np.isfinite(draws).all(axis=0)
    low, high = np.full(len(point), np.nan), np.full(len(point), np.nan)
    if kept.any():
        chosen = draws[:, kept]
        spread = chosen.std(axis=0)
        off = np.abs(chosen - chosen.mean(axis=0))
        t = np.divide(off, spread, out=np.zeros_like(off), where=spread > 1e-12)
        reach = float(np.quantile(t.max(axis=1), LEVEL)) * spread
        low[kept], high[kept] = point[kept] - reach, point[kept] + reach
    return [Estimate(*map(float, ends)) for ends in zip(point, low, high, strict=True)]


def group_means(masks: Sequence[Mask], values: Floats, weights: Weights) -> list[Estimate]:
    """Estimate the mean of values (N,) in each group, a mask (N,); NaN values do not count.

    Groups under MIN_GROUP_SIZE faces get no interval.
    """
    if not len(masks):
        return []
    point = _means(masks, values, np.ones((1, weights.shape[1])))[0]
    draws = _means(masks, values, weights)
    draws[:, [mask.sum() < MIN_GROUP_SIZE for mask in masks]] = np.nan
    return intervals(point, draws)


def difference_from_rest(mask: Mask, values: Floats, weights: Weights) -> Draws:
    """Return by how much the mean of values (N,) of a group exceeds that of all others, (R,)."""
    means = _means([mask, ~mask], values, weights)
    gap: Draws = means[:, 0] - means[:, 1]
    return gap


def excludes_zero(estimate: Estimate) -> bool:
    """Return whether a difference is more than chance: its interval exists and excludes 0."""
    return estimate.low > 0 or estimate.high < 0


def _means(masks: Sequence[Mask], values: Floats, weights: Weights) -> Draws:
    counted = np.isfinite(values)
    cells = np.column_stack([mask & counted for mask in masks])
    filled = np.where(counted, values, 0)[:, None]
    sums = weights @ (cells * filled).astype(weights.dtype)
    return divide(sums, weights @ cells.astype(weights.dtype))
