"""Group faces by age, gender, race label and picture quality; give figures and gaps by group.

A breakdown is one way to divide the faces: by one attribute, or by several at once. A gap is the
difference from the best group of a breakdown; a permutation test of the largest studentised
difference of any pair pays for the search of the best and the worst group (max-T: Westfall and
Young, 1993; valid under unequal spread: Chung and Romano, 2013).
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.evaluation import bootstrap
from agelens.evaluation.bootstrap import MIN_GROUP_SIZE, Draws, Floats, Ints, Mask, Names, Weights
from agelens.evaluation.data_quality import ordered_names

AGE_BANDS = ((0, 12), (13, 20), (21, 40), (41, 60), (61, 116))  # years, both included
AGE, GENDER, RACE = "age", "gender", "race"
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
class Group:
    """Some of N faces."""

    by: str  # the attribute: "age", "gender", "race", or a measure of picture quality
    name: str
    mask: Mask  # (N,)


Partition = dict[tuple[str, ...], Mask]  # faces of each group, (N,), by its name in each attribute


def age_bands(ages: NDArray[Any], bands: Sequence[tuple[int, int]] = AGE_BANDS) -> Names:
    """Name the band of each age, such as "21-40"; the last is "61+". None outside all bands."""
    names = np.full(len(ages), None, object)
    for first, last in bands:
        label = f"{first}+" if (first, last) == bands[-1] else f"{first}-{last}"
        names[(first <= ages) & (ages <= last)] = label
    return names


def decades(ages: NDArray[Any]) -> Names:
    """Name the decade of each age: "0-9" to "110-119"."""
    return age_bands(ages, [(first, first + 9) for first in range(0, 120, 10)] + [(120, 129)])


def attributes(samples: pl.DataFrame) -> dict[str, Names]:
    """Return the gender, race label and age band of each face, by the attribute's name."""
    names = {by: np.array(samples[by].to_list(), object) for by in (GENDER, RACE)}
    return names | {AGE: age_bands(samples["age"].to_numpy())}


def age_band_masks(ages: NDArray[Any]) -> dict[str, Mask]:
    """Return the faces of each occupied age band, (N,), by its name."""
    return {band: mask for (band,), mask in partition([age_bands(ages)]).items()}


def partition(names: Sequence[Names]) -> Partition:
    """Divide the faces that have a name in all of some attributes; natural order of names."""

    def natural(words: tuple[str, ...]) -> list[tuple[int, str]]:
        """Sort "8-12" before "13-20", and words by the alphabet."""
        return [(int((re.findall(r"^\d+", word) or [-1])[0]), word) for word in words]

    keys = list(zip(*names, strict=True))
    order = sorted({key for key in keys if None not in key}, key=natural)
    number = {key: place for place, key in enumerate(order)}
    member = np.array([number.get(key, -1) for key in keys], np.int64)
    return {key: member == place for key, place in number.items()}


def intersections(names: dict[str, Names]) -> dict[tuple[str, ...], Partition]:
    """Divide the faces by every combination of attributes that gives more than one group."""
    breakdowns = {
        by: partition([names[name] for name in by])
        for depth in range(1, len(names) + 1)
        for by in itertools.combinations(names, depth)
    }
    return {by: groups for by, groups in breakdowns.items() if len(groups) > 1}


def face_groups(samples: pl.DataFrame, quality: Mapping[str, Names] | None = None) -> list[Group]:
    """Group faces by age band, gender, race label and each measure of picture quality.

    Attributes that do not divide the faces are left out.
    """
    known, groups = attributes(samples), []
    for by, names in ({by: known[by] for by in (AGE, GENDER, RACE)} | dict(quality or {})).items():
        natural = [name for (name,) in partition([names])]
        order = natural if by in known else ordered_names(by, names)
        if len(order) > 1:
            groups += [Group(by, name, names == name) for name in order]
    return groups


def group_table(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return a row for each group, with its name, its count, and no figures yet."""
    return [
        {"by": group.by, "group": group.name, "faces": int(group.mask.sum()), "figures": {}}
        for group in groups
    ]


def group_rows(
    by: tuple[str, ...], groups: Partition, values: dict[str, Floats], weights: Weights
) -> list[tuple[dict[str, Any], Draws]]:
    """Return each group's count and figures as JSON values, and its draws (R, figures).

    Draws are NaN where the group is too small.
    """
    columns = np.column_stack(list(values.values()))
    rows = []
    for key, mask in groups.items():
        size = int(mask.sum())
        drawn = weights[:, mask] if size >= MIN_GROUP_SIZE else np.zeros((1, size))
        point, draws = bootstrap.draw(bootstrap.mean(columns[mask]), drawn)
        estimates = bootstrap.intervals(point, draws)
        figures = bootstrap.tables(dict(zip(values, estimates, strict=True)))
        group = dict(zip(by, key, strict=True))
        rows.append(({"group": group, "faces": size, "figures": figures}, draws))
    return rows


def compare_groups(
    breakdowns: Mapping[tuple[str, ...], Partition], values: dict[str, Floats], weights: Weights
) -> list[dict[str, Any]]:
    """Return every breakdown with its groups' figures, gaps and p-values, as JSON values.

    `values` are one value per face, (N,), by the figure's name (NaN: does not count there);
    `weights` are resamples (R, N). Figures named in BETTER get, beside value, low and high:
    `gap`, `gap_low`, `gap_high` (in the figure's unit, 0 for the best group itself), `p` and
    `more_than_chance`; all None for groups too small to test.
    """
    tables = {by: group_rows(by, groups, values, weights) for by, groups in breakdowns.items()}
    for column, name in enumerate(values):
        if name in BETTER:
            tests = [
                _add_gaps(
                    name, values[name], list(breakdowns[by].values()),
                    [row["figures"][name] for row, _ in rows],
                    [draws[:, [column]] for _, draws in rows],
                )
                for by, rows in tables.items()
            ]  # fmt: skip
            _add_p_values([test for test in tests if test[1]], values[name])
    return [{"by": list(by), "groups": [row for row, _ in rows]} for by, rows in tables.items()]


_Test = tuple[Ints, list[tuple[dict[str, Any], float]]]
"""Counted faces of each tested group; and the groups' figures, each with its studentised gap."""


def _add_gaps(
    name: str, values: Floats, masks: list[Mask], figures: list[dict[str, Any]], draws: list[Draws]
) -> _Test:
    for figure in figures:
        figure.update(dict.fromkeys(("gap", "gap_low", "gap_high", "p", "more_than_chance")))
    counted = [values[mask & np.isfinite(values)] for mask in masks]
    large = [place for place, own in enumerate(counted) if len(own) >= MIN_GROUP_SIZE]
    sizes = np.array([len(counted[place]) for place in large])
    if len(large) < 2:
        return sizes, []
    sums = np.array([counted[place].sum() for place in large])
    squares = np.array([(counted[place] ** 2).sum() for place in large])
    means, variances = _moments(sums, squares, sizes, float(np.nanvar(values)))
    best = int(np.argmax(BETTER[name] * means))
    scores = _studentize(np.abs(means - means[best]), variances + variances[best])
    for number, place in enumerate(large):
        drawn = draws[place] - draws[large[best]]
        gap = bootstrap.intervals(means[[number]] - means[best], drawn)[0].as_dict()
        figures[place].update(gap=gap["value"], gap_low=gap["low"], gap_high=gap["high"])
    return sizes, [(figures[place], float(t)) for place, t in zip(large, scores, strict=True)]


def _add_p_values(tests: list[_Test], values: Floats) -> None:
    if not tests:
        return
    counted = values[np.isfinite(values)]
    pooled = float(counted.var())
    random = np.random.default_rng(bootstrap.SEED)
    largest = np.empty((len(tests), PERMUTATIONS))  # pairwise t of each permutation
    for start in range(0, PERMUTATIONS, _BATCH):
        mixed = random.permuted(np.tile(counted, (_BATCH, 1)), axis=1)
        sums = np.cumsum(np.pad(mixed, ((0, 0), (1, 0))), axis=1)
        squares = np.cumsum(np.pad(mixed**2, ((0, 0), (1, 0))), axis=1)
        for (sizes, _), kept in zip(tests, largest, strict=True):
            ends = np.concatenate([[0], np.cumsum(sizes)])
            means, variances = _moments(
                np.diff(sums[:, ends]), np.diff(squares[:, ends]), sizes, pooled
            )
            gaps = np.abs(means[:, :, None] - means[:, None])
            t = _studentize(gaps, variances[:, :, None] + variances[:, None])
            kept[start : start + _BATCH] = t.max(axis=(1, 2))
    for (_, scores), kept in zip(tests, largest, strict=True):
        for figure, score in scores:
            # Equal draws may differ in the last digit.
            p = (1 + int((kept >= score - 1e-9).sum())) / (1 + PERMUTATIONS)
            figure["p"] = min(1.0, p * len(tests))
            figure["more_than_chance"] = figure["p"] < ALPHA


def _moments(sums: Floats, squares: Floats, sizes: Ints, pooled: float) -> tuple[Floats, Floats]:
    """Return means and their squared standard errors, of sums and sums of squares (..., G).

    One face of the pooled variance is added to each group, so that a small group without a
    single error does not look certain.
    """
    means = sums / sizes
    spread = np.maximum(squares - sums * means, 0)
    return means, (spread + pooled) / sizes**2


def _studentize(gaps: Floats, variances: Floats) -> Floats:
    t = np.divide(gaps, np.sqrt(variances), out=np.zeros_like(gaps), where=variances > 0)
    return np.asarray(t)
