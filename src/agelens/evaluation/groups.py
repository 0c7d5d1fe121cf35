"""Figures by group: gender, race label, age band and their crossings; gaps and their proof.

A gap is a group's figure minus the best group's in the same breakdown. Whether it is more
than chance is told by a permutation test over all pairs of groups at once, so that having
looked for the best and for the worst is paid for: faces change places between the groups,
and the largest studentised difference of any pair is noted each time (the max-T method of
Westfall and Young, 1993, with Welch's standard error, valid under unequal spread: Chung and
Romano, 2013). The p-value is multiplied by the number of breakdowns (Bonferroni).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation.bootstrap import (
    SEED,
    Draws,
    Figure,
    Weights,
    intervals,
    mean,
)

BANDS = ((0, 12), (13, 20), (21, 40), (41, 60), (61, 116))
"""Age bands in years, both ends included: children, youths, and three of adults."""

LEAST = 20
"""Fewer faces than this get a figure, but no interval, gap or test: they carry none."""

PERMUTATIONS = 2000
ALPHA = 0.05
METHOD = (
    f"gap to the best group of the breakdown; p by a permutation test ({PERMUTATIONS} "
    "permutations) of the largest studentised difference between any two groups, Bonferroni "
    f"over breakdowns; more than chance: p < {ALPHA}; groups under {LEAST} faces are not tested"
)

BETTER = {"age_mae": -1, "age_within_5": 1, "gender_accuracy": 1, "interval_coverage": 1}
"""Figures with a best group: 1 where more is better, -1 where less is. The others have none."""

Names = NDArray[np.object_]
"""(N,): the group of each face, a string; None where it is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Breakdown:
    """A way to part the faces into groups."""

    by: tuple[str, ...]
    groups: list[tuple[str, ...]]  # one name for each of `by`
    rows: list[NDArray[np.int64]]  # the faces of each group


def band_names(ages: NDArray[Any], bands: Sequence[tuple[int, int]] = BANDS) -> Names:
    """Name the band of each age, such as "21-40"; the last is "61+". None outside of all."""
    names = np.full(len(ages), None, object)
    for first, last in bands:
        label = f"{first}+" if (first, last) == bands[-1] else f"{first}-{last}"
        names[(first <= ages) & (ages <= last)] = label
    return names


def decade_names(ages: NDArray[Any]) -> Names:
    """Name the decade of each age: "0-9" to "110-119"."""
    return band_names(ages, [(first, first + 9) for first in range(0, 120, 10)] + [(120, 129)])


def crossings(attributes: dict[str, Names]) -> list[Breakdown]:
    """Give every attribute and every crossing of attributes that parts the faces.

    A face whose name is None in one of the attributes is in no group of that breakdown.
    """
    found = []
    for depth in range(1, len(attributes) + 1):
        for by in itertools.combinations(attributes, depth):
            breakdown = part(by, [attributes[name] for name in by])
            if len(breakdown.groups) > 1:
                found.append(breakdown)
    return found


def part(by: tuple[str, ...], names: Sequence[Names]) -> Breakdown:
    """Part the faces by one attribute or several; groups are in natural order of their names."""
    members: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*names, strict=True)):
        if None not in key:
            members.setdefault(key, []).append(row)
    keys = sorted(members, key=lambda key: [_natural(word) for word in key])
    return Breakdown(by, keys, [np.array(members[key], np.int64) for key in keys])


def by_group(
    breakdown: Breakdown, values: dict[str, NDArray[np.float64]], weights: Weights
) -> list[dict[str, Any]]:
    """Give each group's count and figures as JSON values, without gaps.

    `values` are one value per face, (N,), by the figure's name; `weights` (R, N).
    """
    return [row for row, _ in _group_rows(breakdown, values, weights)]


def _group_rows(
    breakdown: Breakdown, values: dict[str, NDArray[np.float64]], weights: Weights
) -> list[tuple[dict[str, Any], Draws | None]]:
    columns = np.column_stack(list(values.values()))
    found: list[tuple[dict[str, Any], Draws | None]] = []
    for key, rows in zip(breakdown.groups, breakdown.rows, strict=True):
        statistic = mean(columns[rows])
        point = statistic(np.ones((1, len(rows))))[0]
        draws = None
        if len(rows) >= LEAST:
            draws = statistic(weights[:, rows])
            figures = intervals(point, draws)
        else:
            figures = [Figure(float(value), np.nan, np.nan) for value in point]
        tables = {name: f.table() for name, f in zip(values, figures, strict=True)}
        group = dict(zip(breakdown.by, key, strict=True))
        found.append(({"group": group, "faces": len(rows), "figures": tables}, draws))
    return found


def compare(
    breakdowns: Sequence[Breakdown], values: dict[str, NDArray[np.float64]], weights: Weights
) -> list[dict[str, Any]]:
    """Give every breakdown with its groups' figures, gaps and p-values, as JSON values.

    `values` are one value per face, (N,), by the figure's name (NaN: does not count there);
    `weights` are resamples (R, N). Figures named in BETTER get, beside value, low and high:
    `gap`, `gap_low`, `gap_high` (in the figure's unit, 0 for the best group itself), `p` and
    `more_than_chance`; all None for groups too small to test.
    """
    tables = [_group_rows(breakdown, values, weights) for breakdown in breakdowns]
    for column, name in enumerate(values):
        if name in BETTER:
            tested = [
                _gaps(breakdown, name, values[name], rows, column)
                for breakdown, rows in zip(breakdowns, tables, strict=True)
            ]
            _prove([one for one in tested if one is not None], values[name])
    return [
        {"by": list(breakdown.by), "groups": [row for row, _ in rows]}
        for breakdown, rows in zip(breakdowns, tables, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Tested:
    """One breakdown under one figure: what is to be held against chance."""

    sizes: NDArray[np.int64]  # faces that count, in each group that is tested
    scores: list[tuple[dict[str, Any], float]]  # a group's table, its studentised gap


def _gaps(
    breakdown: Breakdown,
    name: str,
    values: NDArray[np.float64],
    rows: list[tuple[dict[str, Any], Draws | None]],
    column: int,
) -> _Tested | None:
    """Write the gaps into the groups' tables; None where fewer than two can be tested."""
    found = [row["figures"][name] for row, _ in rows]
    for table in found:
        table.update(dict.fromkeys(("gap", "gap_low", "gap_high", "p", "more_than_chance")))
    parts = [values[members][np.isfinite(values[members])] for members in breakdown.rows]
    large = [place for place, part in enumerate(parts) if len(part) >= LEAST]
    if len(large) < 2:
        return None
    sizes = np.array([len(parts[place]) for place in large])
    means, squares = _moments(
        np.array([parts[place].sum() for place in large]),
        np.array([(parts[place] ** 2).sum() for place in large]),
        sizes,
        float(np.nanvar(values)),
    )
    best = int(np.argmax(BETTER[name] * means))
    behind = _studentise(np.abs(means - means[best]), squares + squares[best])
    best_draws = rows[large[best]][1]
    scores = []
    for number, place in enumerate(large):
        draws = rows[place][1]
        if draws is None or best_draws is None:  # cannot be: a large group has been drawn
            continue
        gap = (draws - best_draws)[:, [column]]
        figure = intervals(means[[number]] - means[best], gap)[0].table()
        found[place].update(gap=figure["value"], gap_low=figure["low"], gap_high=figure["high"])
        scores.append((found[place], float(behind[number])))
    return _Tested(sizes, scores)


def _prove(tested: list[_Tested], values: NDArray[np.float64]) -> None:
    """Write the p-values into the groups' tables."""
    for one, largest in zip(tested, _permute(tested, values), strict=True):
        for table, t in one.scores:
            # Equal draws may differ in the last digit.
            p = (1 + int((largest >= t - 1e-9).sum())) / (1 + len(largest))
            table["p"] = min(1.0, p * len(tested))
            table["more_than_chance"] = table["p"] < ALPHA


def _permute(tested: list[_Tested], values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Give for each breakdown the largest pairwise t of each permutation, (PERMUTATIONS,)."""
    if not tested:
        return []
    counted = values[np.isfinite(values)]
    pooled = float(counted.var())
    random = np.random.default_rng(SEED)
    largest = [np.empty(PERMUTATIONS) for _ in tested]
    step = 100  # permutations at once, for the sake of memory
    for start in range(0, PERMUTATIONS, step):
        mixed = random.permuted(np.tile(counted, (step, 1)), axis=1)
        sums = np.cumsum(np.pad(mixed, ((0, 0), (1, 0))), axis=1)
        squares = np.cumsum(np.pad(mixed**2, ((0, 0), (1, 0))), axis=1)
        for one, kept in zip(tested, largest, strict=True):
            ends = np.concatenate([[0], np.cumsum(one.sizes)])
            means, spread = _moments(
                np.diff(sums[:, ends]), np.diff(squares[:, ends]), one.sizes, pooled
            )
            apart = np.abs(means[:, :, None] - means[:, None])
            t = _studentise(apart, spread[:, :, None] + spread[:, None])
            kept[start : start + step] = t.max(axis=(1, 2))
    return largest


def _moments(
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
    sizes: NDArray[np.int64],
    pooled: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give means and their squared standard errors, of sums and sums of squares (..., G).

    One face of the pooled variance is added to each group, so that a small group without a
    single error does not look certain.
    """
    means = sums / sizes
    spread = np.maximum(squares - sums * means, 0)
    return means, (spread + pooled) / sizes**2


def _studentise(apart: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
    t: NDArray[np.float64] = np.divide(
        apart, np.sqrt(squared), out=np.zeros_like(apart), where=squared > 0
    )
    return t


def _natural(word: str) -> tuple[int, str]:
    """Sort "8-12" before "13-20", and words by the alphabet."""
    digits = "".join(itertools.takewhile(str.isdigit, word))
    return (int(digits) if digits else -1, word)
