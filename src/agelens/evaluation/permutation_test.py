"""Test gaps between groups: the difference from the best group of a breakdown, and its p-value.

Looking for the best and the worst group finds gaps by chance alone. A permutation test over all
pairs of groups pays for that: faces change places between the groups, and the largest studentised
difference of any pair is noted each time (the max-T method of Westfall and Young, 1993, with
Welch's standard error, valid under unequal spread: Chung and Romano, 2013). The p-value is
multiplied by the number of breakdowns (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agelens.evaluation.arrays import Draws, Floats, Ints, Weights
from agelens.evaluation.bootstrap import SEED, intervals
from agelens.evaluation.groups import MIN_GROUP_SIZE, Breakdown, group_rows

PERMUTATIONS = 2000
ALPHA = 0.05
METHOD = (
    f"gap to the best group of the breakdown; p by a permutation test ({PERMUTATIONS} "
    "permutations) of the largest studentised difference between any two groups, Bonferroni "
    f"over breakdowns; more than chance: p < {ALPHA}; groups under {MIN_GROUP_SIZE} faces are not "
    "tested"
)
BETTER = {"age_mae": -1, "age_within_5": 1, "gender_accuracy": 1, "interval_coverage": 1}
"""Figures with a best group: 1 where more is better, -1 where less is. The others have none."""
_BATCH = 100  # permutations at once, to limit memory


@dataclass(frozen=True, slots=True, eq=False)
class _Test:
    """The gaps of one figure in one breakdown."""

    sizes: Ints  # counted faces of each group that is tested
    scores: list[tuple[dict[str, Any], float]]  # a group's figure, its studentised gap


def compare_groups(
    breakdowns: Sequence[Breakdown], values: dict[str, Floats], weights: Weights
) -> list[dict[str, Any]]:
    """Return every breakdown with its groups' figures, gaps and p-values, as JSON values.

    `values` are one value per face, (N,), by the figure's name (NaN: does not count there);
    `weights` are resamples (R, N). Figures named in BETTER get, beside value, low and high:
    `gap`, `gap_low`, `gap_high` (in the figure's unit, 0 for the best group itself), `p` and
    `more_than_chance`; all None for groups too small to test.
    """
    tables = [group_rows(breakdown, values, weights) for breakdown in breakdowns]
    for column, name in enumerate(values):
        if name in BETTER:
            tests = [
                _add_gaps(breakdown, name, values[name], rows, column)
                for breakdown, rows in zip(breakdowns, tables, strict=True)
            ]
            _add_p_values([test for test in tests if test is not None], values[name])
    return [
        {"by": list(breakdown.by), "groups": [row for row, _ in rows]}
        for breakdown, rows in zip(breakdowns, tables, strict=True)
    ]


def _add_gaps(
    breakdown: Breakdown,
    name: str,
    values: Floats,
    rows: list[tuple[dict[str, Any], Draws | None]],
    column: int,
) -> _Test | None:
    """Write the gaps into the groups' figures; None where fewer than two can be tested."""
    figures = [row["figures"][name] for row, _ in rows]
    for figure in figures:
        figure.update(dict.fromkeys(("gap", "gap_low", "gap_high", "p", "more_than_chance")))
    counted = [values[members][np.isfinite(values[members])] for members in breakdown.rows]
    large = [place for place, part in enumerate(counted) if len(part) >= MIN_GROUP_SIZE]
    if len(large) < 2:
        return None
    sizes = np.array([len(counted[place]) for place in large])
    means, variances = _moments(
        np.array([counted[place].sum() for place in large]),
        np.array([(counted[place] ** 2).sum() for place in large]),
        sizes,
        float(np.nanvar(values)),
    )
    best = int(np.argmax(BETTER[name] * means))
    scores = _studentize(np.abs(means - means[best]), variances + variances[best])
    drawn = [draws[:, [column]] for place in large if (draws := rows[place][1]) is not None]
    for number, place in enumerate(large):
        point = means[[number]] - means[best]
        gap = intervals(point, drawn[number] - drawn[best])[0].as_dict()
        figures[place].update(gap=gap["value"], gap_low=gap["low"], gap_high=gap["high"])
    return _Test(
        sizes, [(figures[place], float(t)) for place, t in zip(large, scores, strict=True)]
    )


def _add_p_values(tests: list[_Test], values: Floats) -> None:
    """Write the p-values into the groups' figures."""
    for test, largest in zip(tests, _largest_differences(tests, values), strict=True):
        for figure, t in test.scores:
            # Equal draws may differ in the last digit.
            p = (1 + int((largest >= t - 1e-9).sum())) / (1 + len(largest))
            figure["p"] = min(1.0, p * len(tests))
            figure["more_than_chance"] = figure["p"] < ALPHA


def _largest_differences(tests: list[_Test], values: Floats) -> list[Floats]:
    """Return for each test the largest pairwise t of each permutation, (PERMUTATIONS,)."""
    if not tests:
        return []
    counted = values[np.isfinite(values)]
    pooled = float(counted.var())
    random = np.random.default_rng(SEED)
    largest = [np.empty(PERMUTATIONS) for _ in tests]
    for start in range(0, PERMUTATIONS, _BATCH):
        mixed = random.permuted(np.tile(counted, (_BATCH, 1)), axis=1)
        sums = np.cumsum(np.pad(mixed, ((0, 0), (1, 0))), axis=1)
        squares = np.cumsum(np.pad(mixed**2, ((0, 0), (1, 0))), axis=1)
        for test, kept in zip(tests, largest, strict=True):
            ends = np.concatenate([[0], np.cumsum(test.sizes)])
            means, variances = _moments(
                np.diff(sums[:, ends]), np.diff(squares[:, ends]), test.sizes, pooled
            )
            gaps = np.abs(means[:, :, None] - means[:, None])
            t = _studentize(gaps, variances[:, :, None] + variances[:, None])
            kept[start : start + _BATCH] = t.max(axis=(1, 2))
    return largest


def _moments(sums: Floats, squares: Floats, sizes: Ints, pooled: float) -> tuple[Floats, Floats]:
    """Return means and their squared standard errors, of sums and sums of squares (..., G).

    One face of the pooled variance is added to each group, so that a small group without a
    single error does not look certain.
    """
    means = sums / sizes
    spread = np.maximum(squares - sums * means, 0)
    return means, (spread + pooled) / sizes**2


def _studentize(gaps: Floats, variances: Floats) -> Floats:
    t: Floats = np.divide(gaps, np.sqrt(variances), out=np.zeros_like(gaps), where=variances > 0)
    return t
