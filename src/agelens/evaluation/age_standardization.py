"""Compare groups with each other at equal ages (direct standardisation), and with all other faces.

Age decides how hard a face is. So each group's figure is the mean over age bands, weighted by how
many of all faces are in each; a group with fewer than MIN_GROUP_SIZE in one is not compared.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from agelens.evaluation import bootstrap
from agelens.evaluation.bootstrap import MIN_GROUP_SIZE, Floats, Ints, Mask, Statistic, Weights
from agelens.evaluation.groups import AGE, Group, group_table

BANDS = ((0, 12), (13, 25), (26, 40), (41, 60), (61, 116))  # years; UTKFace's groups fill them
FIGURES = ("age_mae", "gender_accuracy")
AGAINST_REST = ("age_mae", "age_bias", "gender_accuracy", "interval_coverage")


def measure(
    groups: Sequence[Group], ages: Ints, values: dict[str, Floats], weights: Weights
) -> list[dict[str, Any]]:
    """Return for every attribute its groups' figures at equal ages, as JSON values.

    `values` are one value per face, (N,), by figure. `largest_gap` is between the two groups
    furthest apart, with a simultaneous interval over all pairs of groups.
    """
    bands = _occupied_bands(ages)
    tables = []
    for by in dict.fromkeys(group.by for group in groups):
        own = [group for group in groups if group.by == by]
        kept = [group for group in own if _fills(group.mask, bands)]
        if len(kept) < 2:
            continue
        names, masks = [group.name for group in kept], [group.mask for group in kept]
        rows: list[dict[str, Any]] = [
            {"group": name, "faces": int(mask.sum()), "figures": {}}
            for name, mask in zip(names, masks, strict=True)
        ]
        gaps = {}
        for figure in FIGURES:
            point, draws = bootstrap.draw(_standardized(masks, bands, values[figure]), weights)
            for row, estimate in zip(rows, bootstrap.intervals(point, draws), strict=True):
                row["figures"][figure] = estimate.as_dict()
            gaps[figure] = _largest_gap(names, point, draws)
        left_out = [group.name for group in own if group not in kept]
        tables.append({"by": by, "groups": rows, "largest_gap": gaps, "left_out": left_out})
    return tables


def _largest_gap(names: list[str], point: Floats, draws: Floats) -> dict[str, Any]:
    pairs = [
        (a, b) if point[a] >= point[b] else (b, a)  # the higher one first
        for a, b in itertools.combinations(range(len(names)), 2)
    ]
    higher, lower = np.array(pairs).T
    gaps = point[higher] - point[lower]
    widest = int(np.argmax(gaps))
    gap = bootstrap.simultaneous_intervals(gaps, draws[:, higher] - draws[:, lower])[widest]
    return {
        "higher": names[higher[widest]],
        "lower": names[lower[widest]],
        **gap.as_dict(),
        "more_than_chance": gap.excludes_zero,
    }


def against_rest(
    groups: Sequence[Group], ages: Ints, values: dict[str, Floats], weights: Weights
) -> list[dict[str, Any]]:
    """Return each group's figures and their difference from all other faces, as JSON values.

    Age bands are compared with all others as they are, all other groups at equal ages. The
    difference is None where one of the two is too small.
    """
    rows = group_table(groups)
    bands = _occupied_bands(ages)
    for name in AGAINST_REST:
        point, draws = np.full(len(groups), np.nan), np.full((len(weights), len(groups)), np.nan)
        for column, group in enumerate(groups):
            sides = [group.mask, ~group.mask]
            # Faces of one age band fill no other.
            if not all(_fills(side, [side] if group.by == AGE else bands) for side in sides):
                continue
            statistic = bootstrap.group_means(sides, values[name])
            if group.by != AGE:
                statistic = _standardized(sides, bands, values[name])
            (own, rest), drawn = bootstrap.draw(statistic, weights)
            point[column], draws[:, column] = own - rest, drawn[:, 0] - drawn[:, 1]
        gaps = bootstrap.simultaneous_intervals(point, draws)
        masks = [group.mask for group in groups]
        means = bootstrap.estimate_group_means(masks, values[name], weights)
        for row, mean, gap in zip(rows, means, gaps, strict=True):
            row["figures"][name] = {
                **mean.as_dict(),
                "against_rest": gap.as_dict(),
                "more_than_chance": gap.excludes_zero,
            }
    return rows


def _occupied_bands(ages: Ints) -> list[Mask]:
    bands = [(first <= ages) & (ages <= last) for first, last in BANDS]
    return [band for band in bands if band.any()]


def _fills(mask: Mask, bands: list[Mask]) -> bool:
    return all((mask & band).sum() >= MIN_GROUP_SIZE for band in bands)


def _standardized(masks: list[Mask], bands: list[Mask], values: Floats) -> Statistic:
    columns = np.column_stack(bands)
    cells = np.column_stack([mask & band for mask in masks for band in bands])
    sums = cells * values[:, None]

    def statistic(weights: Weights) -> Floats:
        kind = weights.dtype
        shares = bootstrap.divide(weights @ columns.astype(kind), weights.sum(axis=1)[:, None])
        means = bootstrap.divide(weights @ sums.astype(kind), weights @ cells.astype(kind))
        means = means.reshape(len(weights), len(masks), -1)
        return np.asarray(np.einsum("rgb,rb->rg", means, shares))

    return statistic
