"""Estimate figures with bootstrap confidence intervals, one by one or holding together.

A statistic is a function from weights (R, N), one row per resample, to R values or (R, K). Since
every statistic takes the same weights, differences between models and between groups are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The arrays of this package. N faces, R resamples, K figures.
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Names = NDArray[np.object_]  # (N,): the group of each face, a string; None: not known
Weights = NDArray[Any]  # floats (R, N): how often each face is drawn
Draws = Floats  # (R,) or (R, K): a statistic of each resample
Statistic = Callable[[Weights], Draws]

RESAMPLES = 2000
LEVEL = 0.95
SEED = 20170116
MIN_GROUP_SIZE = 20  # groups of fewer faces get a figure, but no interval, gap or test
METHOD = (
    f"bootstrap, {RESAMPLES} resamples of pictures (byte-identical ones together), "
    "bias-corrected percentile interval (Efron, 1981)"
)
SIMULTANEOUS_METHOD = (
    "simultaneous 95% intervals: all rows of one figure in a table hold together 19 times in 20"
)
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; NaN where it is not defined (no faces, one class only)."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is more than chance: its interval exists and excludes 0."""
        return self.low > 0 or self.high < 0

    def as_dict(self) -> dict[str, float | None]:
        """Return JSON values; None where a number is not defined."""
        return {name: float(v) if np.isfinite(v) else None for name, v in asdict(self).items()}


def resample(clusters: NDArray[Any], resamples: int = RESAMPLES, seed: int = SEED) -> Weights:
    """Draw bootstrap weights, float32 (resamples, N): how often each face is drawn.

    Faces with equal entries in `clusters` (N,) are drawn together (cluster bootstrap): the same
    photo twice is not two observations.
    """
    _, member = np.unique(clusters, return_inverse=True)
    count = int(member.max()) + 1 if len(member) else 0
    random = np.random.default_rng(seed)
    weights = np.empty((resamples, len(member)), np.float32)
    for row in weights:
        row[:] = np.bincount(random.integers(0, count, count), minlength=count)[member]
    return weights


def mean(values: NDArray[Any]) -> Statistic:
    """Return the statistic of the mean of values (N,) or (N, K); NaN values do not count."""
    counted = np.isfinite(values)
    filled = np.where(counted, values, 0)
    if counted.all():
        counted = np.ones((len(values),) + (1,) * (values.ndim - 1), bool)
    return lambda weights: divide(
        weights @ filled.astype(weights.dtype), weights @ counted.astype(weights.dtype)
    )


def group_means(masks: Sequence[Mask], values: Floats) -> Statistic:
    """Return the statistic of the mean of values (N,) in each group; NaN values do not count."""
    return mean(np.where(np.column_stack(masks), values[:, None], np.nan))


def quantile(values: Floats, level: float) -> Statistic:
    """Return the statistic of the (lower) quantile of values (N,) at a level, 0 to 1."""
    order = np.argsort(values, kind="stable")

    def statistic(weights: Weights) -> Draws:
        if not len(values):
            return np.full(len(weights), np.nan)
        below = np.cumsum(weights[:, order], axis=1, dtype=np.float64)
        place = (below < below[:, -1:] * level).sum(axis=1)
        return np.asarray(values[order][np.minimum(place, len(values) - 1)])

    return statistic


def draw(statistic: Statistic, weights: Weights) -> tuple[Floats, Draws]:
    """Return a statistic of the faces as they are, (K,), and of each resample, (R, K)."""
    point, draws = statistic(np.ones((1, weights.shape[1]))), statistic(weights)
    return np.atleast_1d(point[0]), draws.reshape(len(draws), -1)


def estimate(statistic: Statistic, weights: Weights) -> list[Estimate]:
    """Estimate a statistic: one result for each column of its values (one if they are flat)."""
    return intervals(*draw(statistic, weights))


def estimate_mean(values: NDArray[Any], weights: Weights) -> Estimate:
    """Estimate the mean of values (N,); NaN values do not count."""
    return estimate(mean(values), weights)[0]


def estimate_means(columns: Mapping[str, NDArray[Any]], weights: Weights) -> dict[str, Estimate]:
    """Estimate the means of several columns of values, (N,) each; NaN values do not count."""
    means = estimate(mean(np.column_stack(list(columns.values()))), weights)
    return dict(zip(columns, means, strict=True))


def estimate_group_means(masks: Sequence[Mask], values: Floats, weights: Weights) -> list[Estimate]:
    """Estimate the mean of values (N,) in each group, with simultaneous intervals.

    NaN values do not count. Groups under MIN_GROUP_SIZE faces get no interval.
    """
    if not len(masks):
        return []
    point, draws = draw(group_means(masks, values), weights)
    draws[:, [mask.sum() < MIN_GROUP_SIZE for mask in masks]] = np.nan
    return simultaneous_intervals(point, draws)


def tables(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    """Return estimates as JSON values."""
    return {name: estimate.as_dict() for name, estimate in estimates.items()}


def intervals(point: Floats, draws: Draws) -> list[Estimate]:
    """Join point values (K,) and the interval of their draws (R, K).

    The interval is Efron's (1981) bias-corrected percentile interval. Figures that cannot fall
    below zero, such as the calibration error, are drawn too high; the correction undoes that.
    """
    estimates = []
    for value, column in zip(point, draws.T, strict=True):
        kept = column[np.isfinite(column)]
        if not np.isfinite(value) or not len(kept):
            estimates.append(Estimate(float(value), np.nan, np.nan))
            continue
        # Draws that differ by rounding alone are ties; ties count half on either side.
        near = np.isclose(kept, value, rtol=1e-6, atol=1e-9)
        below = ((kept < value) & ~near).mean() + near.mean() / 2
        shift = _NORMAL.inv_cdf(float(np.clip(below, 1 / (2 + len(kept)), 1 - 1 / (2 + len(kept)))))
        tail = _NORMAL.inv_cdf((1 - LEVEL) / 2)
        low, high = np.quantile(kept, [_NORMAL.cdf(2 * shift + z) for z in (tail, -tail)])
        estimates.append(Estimate(float(value), float(min(low, value)), float(max(high, value))))
    return estimates


def simultaneous_intervals(point: Floats, draws: Draws) -> list[Estimate]:
    """Join point values (K,) and the simultaneous intervals of their draws (R, K).

    Of twenty 95 % intervals, one misses the truth by chance alone. These are wider, so that all
    hold 19 times in 20: the bootstrap distribution of the largest studentised deviation sets
    their width (max-T: Westfall and Young, 1993). NaN where a value or a draw is not defined.
    """
    kept = np.isfinite(point) & np.isfinite(draws).all(axis=0)
    reach = np.full(len(point), np.nan)
    if kept.any():
        chosen = draws[:, kept]
        spread = chosen.std(axis=0)
        off = np.abs(chosen - chosen.mean(axis=0))
        t = np.divide(off, spread, out=np.zeros_like(off), where=spread > 1e-12)
        reach[kept] = float(np.quantile(t.max(axis=1), LEVEL)) * spread
    return [
        Estimate(*ends) for ends in np.transpose([point, point - reach, point + reach]).tolist()
    ]


def divide(a: NDArray[Any], b: NDArray[Any]) -> Draws:
    """Divide in float64; NaN where b is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0))
