"""The tree of figures of a report: all that may be told, as JSON values (`report.json`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.evaluation import (
    age_standardization,
    bootstrap,
    comparison,
    confusion,
    error_distribution,
    reliability,
    simultaneous_intervals,
)
from agelens.evaluation.bootstrap import Figure, Weights
from agelens.evaluation.evaluation_folder import Evaluated
from agelens.evaluation.figures import Faces, face_values
from agelens.evaluation.groupings import AGE, GENDER, RACE, Group, groups_of
from agelens.evaluation.groups import LEAST, Names
from agelens.evaluation.run_history import describe_record

AGAINST_REST = ("age_mae", "age_bias", "gender_accuracy", "interval_coverage")
"""Figures by which each group of faces is held against all others."""

Report = Callable[[str], None]
"""Is told what is being done."""


def measure(
    evaluated: Sequence[Evaluated], quality: Mapping[str, Names] | None, report: Report
) -> dict[str, Any]:
    """Measure M evaluations of the same N faces; `quality` as `groupings.groups_of` takes it.

    Of a model that answered fewer than LEAST faces nothing is measured beyond its evaluation.
    """
    weights = bootstrap.resample(evaluated[0].clusters)
    first = evaluated[0].about
    tree: dict[str, Any] = {
        "data": {**first["data"], "faces": len(evaluated[0].samples)},
        "methods": {**first["methods"], "groups": simultaneous_intervals.METHOD},
        "models": {},
    }
    for one in evaluated:
        report(f"figures of {one.name}")
        tree["models"][one.name] = _model(one, quality, weights)
    if len(evaluated) > 1:
        report("comparison")
        tree["comparison"] = _compare(evaluated, quality, weights)
    return tree


def _model(one: Evaluated, quality: Mapping[str, Names] | None, weights: Weights) -> dict[str, Any]:
    about = one.about
    model: dict[str, Any] = {
        "about": {**about["model"], "megabytes": about["model"]["bytes"] / 1e6},
        "command": about["command"],
        "date": about["date"],
        "flip": about["flip"],
        "pipeline": about["pipeline"],
        "training": describe_record(one.record),
        "learnt": one.learnt,
        "learnt_from": about.get("learnt_from"),
        **{key: about[key] for key in ("subsets", "by_decade", "by_group")},
        **{key: about[key] for key in ("missed",) if key in about},
    }
    if len(one.faces) >= LEAST:
        samples, drawn = _found(one, one.found, quality, weights)
        model |= _answered(one.faces, samples, drawn)
    return model


class _Samples:
    """The labels of the faces that have an answer, and the groups they are in."""

    def __init__(self, table: pl.DataFrame, groups: list[Group]) -> None:
        self.table = table
        self.groups = groups


def _found(
    one: Evaluated,
    rows: NDArray[np.bool_],
    quality: Mapping[str, Names] | None,
    weights: Weights,
) -> tuple[_Samples, Weights]:
    """Give labels, groups and weights of some of the faces."""
    table = one.samples.filter(pl.Series(rows))
    few = None if quality is None else {by: names[rows] for by, names in quality.items()}
    return _Samples(table, groups_of(table, few)), weights if rows.all() else weights[:, rows]


def _answered(faces: Faces, samples: _Samples, weights: Weights) -> dict[str, Any]:
    values = face_values(faces)
    people = [group for group in samples.groups if group.by in (GENDER, RACE)]
    return {
        "confusion": confusion.measure(faces, weights),
        "reliability": reliability.measure(faces, weights),
        "mistakes": error_distribution.measure(samples.table, faces, weights),
        "against_rest": _against_rest(samples.groups, faces.age, values, weights),
        "equal_ages": age_standardization.measure(people, faces.age, values, weights),
    }


def _against_rest(
    groups: Sequence[Group],
    ages: NDArray[np.int64],
    values: dict[str, NDArray[np.float64]],
    weights: Weights,
) -> list[dict[str, Any]]:
    """Give each group's figures and their difference from all other faces.

    Age bands are held against all others as they are, all other groups at equal ages.
    """
    rows: list[dict[str, Any]] = [
        {"by": group.by, "group": group.name, "faces": int(group.mask.sum()), "figures": {}}
        for group in groups
    ]
    masks = [group.mask for group in groups]
    for name in AGAINST_REST:
        own = simultaneous_intervals.in_groups(masks, values[name], weights)
        gaps = _gaps(groups, ages, values[name], weights)
        for row, figure, gap in zip(rows, own, gaps, strict=True):
            row["figures"][name] = {
                **figure.table(),
                "against_rest": gap.table(),
                "more_than_chance": simultaneous_intervals.excludes_zero(gap),
            }
    return rows


def _gaps(
    groups: Sequence[Group],
    ages: NDArray[np.int64],
    values: NDArray[np.float64],
    weights: Weights,
) -> list[Figure]:
    """Give the difference of each group from the rest; NaN where it cannot be told."""
    bands = age_standardization.bands_of(ages)
    once = np.ones((1, len(ages)))
    point, draws = np.full(len(groups), np.nan), np.full((len(weights), len(groups)), np.nan)
    for column, group in enumerate(groups):
        if group.mask.sum() < LEAST or (~group.mask).sum() < LEAST:
            continue
        for drawn, table in ((once, point[None]), (weights, draws)):
            gap = (
                simultaneous_intervals.against_rest(group.mask, values, drawn)
                if group.by == AGE
                else age_standardization.against_rest(group.mask, bands, values, drawn)
            )
            if gap is not None:
                table[:, column] = gap
    return simultaneous_intervals.intervals(point, draws)


def _compare(
    evaluated: Sequence[Evaluated], quality: Mapping[str, Names] | None, weights: Weights
) -> dict[str, Any] | None:
    both = np.logical_and.reduce([one.found for one in evaluated])
    if both.sum() < LEAST:
        return None
    samples, drawn = _found(evaluated[0], both, quality, weights)
    return comparison.compare(
        [one.name for one in evaluated],
        [one.faces.take(both[one.found]) for one in evaluated],
        samples.table["file"].to_list(),
        samples.groups,
        drawn,
    )
