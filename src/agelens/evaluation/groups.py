"""Group faces by age, gender, race label and picture quality, and give figures by group.

A breakdown is one way to divide the faces: by one attribute, or by several at once.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.evaluation.arrays import Draws, Floats, Ints, Mask, Names, Weights
from agelens.evaluation.bootstrap import Estimate, intervals, mean, tables
from agelens.evaluation.picture_quality import ordered_names

AGE_BANDS = ((0, 12), (13, 20), (21, 40), (41, 60), (61, 116))
"""Age bands in years, both ends included: children, youths, and three of adults."""
MIN_GROUP_SIZE = 20
"""Groups of fewer faces get a figure, but no interval, gap or test."""
AGE, GENDER, RACE = "age", "gender", "race"


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some of N faces."""

    by: str  # the attribute: "age", "gender", "race", or a measure of picture quality
    name: str
    mask: Mask  # (N,)


@dataclass(frozen=True, slots=True, eq=False)
class Breakdown:
    """A division of the faces into groups."""

    by: tuple[str, ...]
    groups: list[tuple[str, ...]]  # one name for each of `by`
    rows: list[Ints]  # the faces of each group


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
    return {
        GENDER: np.array(samples["gender"].to_list(), object),
        RACE: np.array(samples["race"].to_list(), object),
        AGE: age_bands(samples["age"].to_numpy()),
    }


def age_band_masks(ages: NDArray[Any]) -> dict[str, Mask]:
    """Return the faces of each occupied age band, (N,), by its name."""
    names = age_bands(ages)
    return {band: names == band for (band,) in partition((AGE,), [names]).groups}


def partition(by: tuple[str, ...], names: Sequence[Names]) -> Breakdown:
    """Divide the faces by one or several attributes; groups are in natural order of their names.

    A face whose name is None in one of the attributes is in no group.
    """
    members: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*names, strict=True)):
        if None not in key:
            members.setdefault(key, []).append(row)
    keys = sorted(members, key=lambda key: [_natural(word) for word in key])
    return Breakdown(by, keys, [np.array(members[key], np.int64) for key in keys])


def intersections(names: dict[str, Names]) -> list[Breakdown]:
    """Return the breakdown of every attribute and of every combination of attributes.

    Breakdowns with a single group are left out.
    """
    combinations = itertools.chain.from_iterable(
        itertools.combinations(names, depth) for depth in range(1, len(names) + 1)
    )
    breakdowns = [partition(by, [names[name] for name in by]) for by in combinations]
    return [breakdown for breakdown in breakdowns if len(breakdown.groups) > 1]


def face_groups(samples: pl.DataFrame, quality: Mapping[str, Names] | None = None) -> list[Group]:
    """Group faces by age band, gender, race label and each measure of picture quality.

    `quality` gives the group name of each face, (N,), by the measure. Attributes that do not
    divide the faces are left out.
    """
    known = attributes(samples)
    names = {by: known[by] for by in (AGE, GENDER, RACE)} | dict(quality or {})
    groups = []
    for by, own in names.items():
        natural = [name for (name,) in partition((by,), [own]).groups]
        order = ordered_names(by, own) if by in (quality or {}) else natural
        if len(order) > 1:
            groups += [Group(by, name, own == name) for name in order]
    return groups


def group_table(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return a row for each group, with its name, its count, and no figures yet."""
    return [
        {"by": group.by, "group": group.name, "faces": int(group.mask.sum()), "figures": {}}
        for group in groups
    ]


def by_group(
    breakdown: Breakdown, values: dict[str, Floats], weights: Weights
) -> list[dict[str, Any]]:
    """Return each group's count and figures as JSON values, without gaps.

    `values` are one value per face, (N,), by the figure's name; `weights` (R, N).
    """
    return [row for row, _ in group_rows(breakdown, values, weights)]


def group_rows(
    breakdown: Breakdown, values: dict[str, Floats], weights: Weights
) -> list[tuple[dict[str, Any], Draws | None]]:
    """Return each group's row of JSON values with its draws (R, figures); None where too small."""
    columns = np.column_stack(list(values.values()))
    rows: list[tuple[dict[str, Any], Draws | None]] = []
    for key, members in zip(breakdown.groups, breakdown.rows, strict=True):
        statistic = mean(columns[members])
        point = statistic(np.ones((1, len(members))))[0]
        draws = statistic(weights[:, members]) if len(members) >= MIN_GROUP_SIZE else None
        estimates = (
            [Estimate(float(value), np.nan, np.nan) for value in point]
            if draws is None
            else intervals(point, draws)
        )
        figures = tables(dict(zip(values, estimates, strict=True)))
        group = dict(zip(breakdown.by, key, strict=True))
        rows.append(({"group": group, "faces": len(members), "figures": figures}, draws))
    return rows


def _natural(word: str) -> tuple[int, str]:
    """Sort "8-12" before "13-20", and words by the alphabet."""
    digits = "".join(itertools.takewhile(str.isdigit, word))
    return (int(digits) if digits else -1, word)
