"""Groups compared as if all had the same ages.

Groups differ in age, and age decides how hard a face is. Here each group's figure is the mean
over age bands, weighed by how many of all faces are in each band (direct standardisation), so
that a gap that remains is not one of age. A group with fewer than LEAST faces in one of the
bands is not compared.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import bootstrap, simultaneous_intervals
from agelens.evaluation.bootstrap import Draws, Weights, divide
from agelens.evaluation.groupings import Group
from agelens.evaluation.groups import LEAST

BANDS = ((0, 12), (13, 25), (26, 40), (41, 60), (61, 116))
"""Age bands in years, both ends included; chosen so that UTKFace's groups fill them."""
FIGURES = ("age_mae", "gender_accuracy")


def measure(
    groups: Sequence[Group], ages: NDArray[np.int64], values: dict[str, Any], weights: Weights
) -> list[dict[str, Any]]:
    """Give, for every way to part the faces, its groups' figures at equal ages, as JSON values.

    `values` are one value per face, (N,), by figure. `largest_gap` is between the two groups
    furthest apart, with a simultaneous interval over all pairs of groups.
    """
    found = []
    for by in dict.fromkeys(group.by for group in groups):
        own = [group for group in groups if group.by == by]
        table = _compare(own, ages, values, weights)
        if table is not None:
            found.append({"by": by, **table})
    return found


def _compare(
    groups: list[Group], ages: NDArray[np.int64], values: dict[str, Any], weights: Weights
) -> dict[str, Any] | None:
    bands = bands_of(ages)
    kept = [group for group in groups if _fills(group.mask, bands)]
    if len(kept) < 2:
        return None
    rows: list[dict[str, Any]] = [
        {"group": group.name, "faces": int(group.mask.sum()), "figures": {}} for group in kept
    ]
    gaps = {}
    for name in FIGURES:
        masks = [group.mask for group in kept]
        point = _standardised(masks, bands, values[name], np.ones((1, len(ages))))
        draws = _standardised(masks, bands, values[name], weights)
        for row, figure in zip(rows, bootstrap.intervals(point[0], draws), strict=True):
            row["figures"][name] = figure.table()
        gaps[name] = _largest_gap([group.name for group in kept], point[0], draws)
    left = [group.name for group in groups if group not in kept]
    return {"groups": rows, "largest_gap": gaps, "left_out": left}


def against_rest(
    mask: NDArray[np.bool_],
    bands: list[NDArray[np.bool_]],
    values: NDArray[np.float64],
    drawn: Weights,
) -> Draws | None:
    """Give by how much a group exceeds all other faces at equal ages, (R,).

    None where one of the two has too few faces in a band.
    """
    if not (_fills(mask, bands) and _fills(~mask, bands)):
        return None
    table = _standardised([mask, ~mask], bands, values, drawn)
    gap: Draws = table[:, 0] - table[:, 1]
    return gap


def bands_of(ages: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """Give the faces of each age band, (N,); bands without any are left out."""
    bands = [(first <= ages) & (ages <= last) for first, last in BANDS]
    return [band for band in bands if band.any()]


def _fills(mask: NDArray[np.bool_], bands: list[NDArray[np.bool_]]) -> bool:
    return all((mask & band).sum() >= LEAST for band in bands)


def _standardised(
    masks: list[NDArray[np.bool_]],
    bands: list[NDArray[np.bool_]],
    values: NDArray[np.float64],
    drawn: Weights,
) -> Draws:
    """Give each group's figure at the ages of all faces, (R, groups)."""
    shares = divide(drawn @ np.column_stack(bands).astype(drawn.dtype), drawn.sum(axis=1)[:, None])
    cells = np.column_stack([mask & band for mask in masks for band in bands])
    sums = drawn @ (cells * values[:, None]).astype(drawn.dtype)
    means = divide(sums, drawn @ cells.astype(drawn.dtype))
    table: Draws = np.einsum("rgb,rb->rg", means.reshape(len(drawn), len(masks), -1), shares)
    return table


def _largest_gap(names: list[str], point: Draws, draws: Draws) -> dict[str, Any]:
    pairs = list(itertools.combinations(range(len(names)), 2))
    # the higher one first
    pairs = [(a, b) if point[a] >= point[b] else (b, a) for a, b in pairs]
    gaps = np.array([point[a] - point[b] for a, b in pairs])
    apart = np.column_stack([draws[:, a] - draws[:, b] for a, b in pairs])
    figures = simultaneous_intervals.intervals(gaps, apart)
    widest = int(np.argmax(gaps))
    high, low = pairs[widest]
    return {
        "higher": names[high],
        "lower": names[low],
        **figures[widest].table(),
        "more_than_chance": simultaneous_intervals.excludes_zero(figures[widest]),
    }
