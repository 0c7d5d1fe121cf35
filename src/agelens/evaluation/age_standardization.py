"""Compare groups at equal ages (direct standardisation).

Groups differ in age, and age decides how hard a face is. Here each group's figure is the mean
over age bands, weighted by how many of all faces are in each band, so that a gap that remains is
not one of age. A group with fewer than MIN_GROUP_SIZE faces in one of the bands is not compared.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from agelens.evaluation import bootstrap, simultaneous_intervals
from agelens.evaluation.arrays import Draws, Floats, Ints, Mask, Weights
from agelens.evaluation.bootstrap import divide
from agelens.evaluation.groups import MIN_GROUP_SIZE, Group

BANDS = ((0, 12), (13, 25), (26, 40), (41, 60), (61, 116))
"""Age bands in years, both ends included; chosen so that UTKFace's groups fill them."""
FIGURES = ("age_mae", "gender_accuracy")


def measure(
    groups: Sequence[Group], ages: Ints, values: dict[str, Floats], weights: Weights
) -> list[dict[str, Any]]:
    """Return for every attribute its groups' figures at equal ages, as JSON values.

    `values` are one value per face, (N,), by figure. `largest_gap` is between the two groups
    furthest apart, with a simultaneous interval over all pairs of groups.
    """
    bands = occupied_bands(ages)
    tables = []
    for by in dict.fromkeys(group.by for group in groups):
        own = [group for group in groups if group.by == by]
        kept = [group for group in own if _fills(group.mask, bands)]
        if len(kept) > 1:
            left_out = [group.name for group in own if group not in kept]
            table = _compare(kept, bands, values, weights)
            tables.append({"by": by, **table, "left_out": left_out})
    return tables


def _compare(
    groups: list[Group], bands: list[Mask], values: dict[str, Floats], weights: Weights
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"group": group.name, "faces": int(group.mask.sum()), "figures": {}} for group in groups
    ]
    gaps = {}
    masks = [group.mask for group in groups]
    for name in FIGURES:
        point = _standardized(masks, bands, values[name], np.ones((1, weights.shape[1])))[0]
        draws = _standardized(masks, bands, values[name], weights)
        for row, figure in zip(rows, bootstrap.intervals(point, draws), strict=True):
            row["figures"][name] = figure.as_dict()
        gaps[name] = _largest_gap([group.name for group in groups], point, draws)
    return {"groups": rows, "largest_gap": gaps}


def difference_from_rest(
    mask: Mask, bands: list[Mask], values: Floats, weights: Weights
) -> Draws | None:
    """Return by how much a group exceeds all other faces at equal ages, (R,).

    None where one of the two has too few faces in a band.
    """
    if not (_fills(mask, bands) and _fills(~mask, bands)):
        return None
    table = _standardized([mask, ~mask], bands, values, weights)
    gap: Draws = table[:, 0] - table[:, 1]
    return gap


def occupied_bands(ages: Ints) -> list[Mask]:
    """Return the faces of each age band, (N,); bands without any are left out."""
    bands = [(first <= ages) & (ages <= last) for first, last in BANDS]
    return [band for band in bands if band.any()]


def _fills(mask: Mask, bands: list[Mask]) -> bool:
    return all((mask & band).sum() >= MIN_GROUP_SIZE for band in bands)


def _standardized(masks: list[Mask], bands: list[Mask], values: Floats, weights: Weights) -> Draws:
    """Return each group's figure at the ages of all faces, (R, groups)."""
    kind = weights.dtype
    shares = divide(weights @ np.column_stack(bands).astype(kind), weights.sum(axis=1)[:, None])
    cells = np.column_stack([mask & band for mask in masks for band in bands])
    means = divide(
        weights @ (cells * values[:, None]).astype(kind), weights @ cells.astype(kind)
    ).reshape(len(weights), len(masks), -1)
    table: Draws = np.einsum("rgb,rb->rg", means, shares)
    return table


def _largest_gap(names: list[str], point: Draws, draws: Draws) -> dict[str, Any]:
    pairs = [
        (a, b) if point[a] >= point[b] else (b, a)  # the higher one first
        for a, b in itertools.combinations(range(len(names)), 2)
    ]
    gaps = np.array([point[a] - point[b] for a, b in pairs])
    drawn = np.column_stack([draws[:, a] - draws[:, b] for a, b in pairs])
    widest = int(np.argmax(gaps))
    gap = simultaneous_intervals.intervals(gaps, drawn)[widest]
    return {
        "higher": names[pairs[widest][0]],
        "lower": names[pairs[widest][1]],
        **gap.as_dict(),
        "more_than_chance": simultaneous_intervals.excludes_zero(gap),
    }
