"""The tree of facts of a comparison report: all its figures as JSON values (`report.json`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from agelens.evaluation import (
    age_standardization,
    bootstrap,
    comparison,
    error_analysis,
    reliability,
    simultaneous_intervals,
)
from agelens.evaluation.arrays import Floats, Ints, Mask, Names, Weights
from agelens.evaluation.bootstrap import Estimate
from agelens.evaluation.evaluation_folder import Evaluated
from agelens.evaluation.figures import face_values
from agelens.evaluation.groups import AGE, GENDER, MIN_GROUP_SIZE, RACE, Group, face_groups
from agelens.evaluation.run_history import describe_record

AGAINST_REST = ("age_mae", "age_bias", "gender_accuracy", "interval_coverage")
"""Figures by which each group of faces is compared with all others."""


def measure(
    evaluated: Sequence[Evaluated],
    quality: Mapping[str, Names] | None,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Measure M evaluations of the same N faces; `quality` as in `groups.face_groups`.

    `progress` is called with what is being measured. For a model that answered fewer than
    MIN_GROUP_SIZE faces nothing is measured beyond its evaluation.
    """
    weights = bootstrap.resample(evaluated[0].clusters)
    first = evaluated[0].about
    facts: dict[str, Any] = {
        "data": {**first["data"], "faces": len(evaluated[0].samples)},
        "methods": {**first["methods"], "groups": simultaneous_intervals.METHOD},
        "models": {},
    }
    for one in evaluated:
        progress(f"figures of {one.name}")
        facts["models"][one.name] = _model_facts(one, quality, weights)
    if len(evaluated) > 1:
        progress("comparison")
        facts["comparison"] = _compare(evaluated, quality, weights)
    return facts


def _model_facts(
    one: Evaluated, quality: Mapping[str, Names] | None, weights: Weights
) -> dict[str, Any]:
    about = one.about
    model: dict[str, Any] = {
        "about": {**about["model"], "megabytes": about["model"]["bytes"] / 1e6},
        "training": describe_record(one.record),
        "learnt": one.training_figures,
        "learnt_from": about.get("learnt_from"),
        **{key: about[key] for key in ("command", "date", "flip", "pipeline")},
        **{key: about[key] for key in ("subsets", "by_decade", "by_group")},
        **{key: about[key] for key in ("missed",) if key in about},
    }
    if len(one.faces) < MIN_GROUP_SIZE:
        return model
    samples, groups, drawn = _select(one, one.found, quality, weights)
    values = face_values(one.faces)
    people = [group for group in groups if group.by in (GENDER, RACE)]
    return model | {
        "confusion": error_analysis.confusion(one.faces, drawn),
        "reliability": reliability.measure(one.faces, drawn),
        "mistakes": error_analysis.largest_errors(samples, one.faces, drawn),
        "against_rest": against_rest(groups, one.faces.age, values, drawn),
        "equal_ages": age_standardization.measure(people, one.faces.age, values, drawn),
    }


def _select(
    one: Evaluated, rows: Mask, quality: Mapping[str, Names] | None, weights: Weights
) -> tuple[pl.DataFrame, list[Group], Weights]:
    """Return labels, groups and weights of some of the faces, a mask (N,)."""
    samples = one.samples.filter(pl.Series(rows))
    some = None if quality is None else {by: names[rows] for by, names in quality.items()}
    return samples, face_groups(samples, some), weights if rows.all() else weights[:, rows]


def against_rest(
    groups: Sequence[Group], ages: Ints, values: dict[str, Floats], weights: Weights
) -> list[dict[str, Any]]:
    """Return each group's figures and their difference from all other faces, as JSON values.

    Age bands are compared with all others as they are, all other groups at equal ages.
    """
    rows: list[dict[str, Any]] = [
        {"by": group.by, "group": group.name, "faces": int(group.mask.sum()), "figures": {}}
        for group in groups
    ]
    masks = [group.mask for group in groups]
    for name in AGAINST_REST:
        means = simultaneous_intervals.group_means(masks, values[name], weights)
        gaps = _differences_from_rest(groups, ages, values[name], weights)
        for row, mean, gap in zip(rows, means, gaps, strict=True):
            row["figures"][name] = {
                **mean.as_dict(),
                "against_rest": gap.as_dict(),
                "more_than_chance": simultaneous_intervals.excludes_zero(gap),
            }
    return rows


def _differences_from_rest(
    groups: Sequence[Group], ages: Ints, values: Floats, weights: Weights
) -> list[Estimate]:
    """Return the difference of each group from the rest; NaN where one of the two is too small."""
    bands = age_standardization.occupied_bands(ages)
    point, draws = np.full(len(groups), np.nan), np.full((len(weights), len(groups)), np.nan)
    for column, group in enumerate(groups):
        if group.mask.sum() < MIN_GROUP_SIZE or (~group.mask).sum() < MIN_GROUP_SIZE:
            continue
        for drawn, table in ((np.ones((1, len(ages))), point[None]), (weights, draws)):
            gap = (
                simultaneous_intervals.difference_from_rest(group.mask, values, drawn)
                if group.by == AGE
                else age_standardization.difference_from_rest(group.mask, bands, values, drawn)
            )
            if gap is not None:
                table[:, column] = gap
    return simultaneous_intervals.intervals(point, draws)


def _compare(
    evaluated: Sequence[Evaluated], quality: Mapping[str, Names] | None, weights: Weights
) -> dict[str, Any] | None:
    both = np.logical_and.reduce([one.found for one in evaluated])
    if both.sum() < MIN_GROUP_SIZE:
        return None
    samples, groups, drawn = _select(evaluated[0], both, quality, weights)
    return comparison.compare(
        [one.name for one in evaluated],
        [one.faces.take(both[one.found]) for one in evaluated],
        samples["file"].to_list(),
        groups,
        drawn,
    )
