r"""How are age intervals best calibrated: equal coverage at all ages, without jumps?

    agelens evaluate runs/hybrid --data utkface --part validation --no-flip
    python benchmarks/interval_calibration.py \
        runs/hybrid/evaluation-split0-validation/predictions.parquet

Each way is fitted on half of the validation faces and evaluated on the other half, both ways round,
for three splits: coverage, width, coverage by decade. Leaps: every prediction is moved by a quarter
of a year; counted is the share in which an end of the interval moves by more than two years.
Writes results/interval_calibration.json.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import record
from agelens.evaluation import calibration, metrics
from agelens.inference import distribution
from agelens.inference.distribution import AGES, Levels

SPLITS = 3
LEAP = 2.0  # years
HEAP = (22, 36)  # years around 26, which one label in eleven of UTKFace says
Fit = Callable[[NDArray[np.float64], NDArray[np.int64]], Levels]


def main() -> None:
    """Compare, print and write."""
    parser = record.parser(__doc__)
    parser.add_argument("predictions", type=Path, help="the predictions.parquet of an evaluation")
    given = parser.parse_args()
    table = pl.read_parquet(given.predictions)
    spreads = table["age_probabilities"].to_numpy().astype(np.float64)
    ages = table["age"].to_numpy().astype(np.int64)
    ways: dict[str, Fit] = {"the 250 nearest in age": nearest}
    for width in (2.0, 3.0, 4.0):
        ways[f"curve of {width:g} years"] = partial(calibration.fit_levels, bandwidth=width)
    random = np.random.default_rng(0)
    orders = [random.permutation(len(ages)) for _ in range(SPLITS)]
    figures = {
        "faces": len(ages),
        "splits": SPLITS,
        "shipped": f"curve of {calibration.BANDWIDTH:g} years",
        "ways": [{"way": name} | judge(fit, spreads, ages, orders) for name, fit in ways.items()],
    }
    record.show(record.write(given, figures, threads=1))


def nearest(spreads: NDArray[np.float64], ages: NDArray[np.int64], count: int = 250) -> Levels:
    """Fit the levels of each age to the faces nearest to it, as the package once did."""
    before = distribution.below(spreads, ages - 1)
    after = distribution.below(spreads, ages + 1)
    off = np.maximum(0, np.maximum(before - 0.5, 0.5 - after))
    half = np.empty(AGES)
    for age in range(AGES):
        away = np.abs(ages - age)
        near = np.sort(off[away <= np.sort(away)[min(count, len(ages)) - 1]])
        half[age] = near[min(int(np.ceil((len(near) + 1) * 0.9)), len(near)) - 1]
    half = np.clip(half, 0.01, 0.5)
    return Levels(0.5 - half, 0.5 + half)


def judge(
    fit: Fit, spreads: NDArray[np.float64], ages: NDArray[np.int64], orders: list[NDArray[np.intp]]
) -> dict[str, Any]:
    """Measure one way."""
    found = []
    for order in orders:
        halves = np.array_split(order, 2)
        for fitted, fresh in (halves, halves[::-1]):
            low, high = fit(spreads[fitted], ages[fitted]).ends(spreads[fresh])
            inside, decade = metrics.interval_hits(low, high, ages[fresh]), ages[fresh] // 10
            by_decade = [inside[np.minimum(decade, 9) == ten].mean() for ten in range(10)]
            found.append([inside.mean(), (high - low).mean(), *by_decade])
    coverage, width, *by_decade = np.mean(found, axis=0)
    levels, medians = fit(spreads, ages), distribution.median(spreads)
    leapt = leaps(levels, spreads)
    heap = (medians > HEAP[0]) & (medians < HEAP[1])
    return {
        "coverage": round(float(coverage), 4),
        "width_years": round(float(width), 2),
        "coverage_by_decade": np.round(by_decade, 4).tolist(),  # the last: from 90 on
        "leaps": round(float(leapt.mean()), 4),
        "leaps_from_22_to_36": round(float(leapt[heap].mean()), 4),
    }


def leaps(levels: Levels, spreads: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each face whether an end leaps somewhere while its answer moves up by a year."""
    older = np.zeros_like(spreads)
    older[:, 1:] = spreads[:, :-1]
    older[:, -1] += spreads[:, -1]
    parts = (0.0, 0.25, 0.5, 0.75, 1.0)
    steps = np.array([levels.ends((1 - by) * spreads + by * older) for by in parts])
    return (np.abs(np.diff(steps, axis=0)) > LEAP).any(axis=(0, 1))


if __name__ == "__main__":
    main()
