"""The tree of facts of a comparison report: all its figures as JSON values (`report.json`).

`measure` gives the figures of each model, and `compare` by how much models differ, where, and what
they miss alike.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from agelens.evaluation import (
    age_standardization,
    bootstrap,
    error_analysis,
    metrics,
    reliability,
    simultaneous_intervals,
)
from agelens.evaluation.arrays import Floats, Ints, Mask, Names, Weights
from agelens.evaluation.bootstrap import Estimate, estimate_means, tables
from agelens.evaluation.evaluation_folder import Evaluated
from agelens.evaluation.figures import Faces, face_values
from agelens.evaluation.groups import (
    AGE,
    GENDER,
    MIN_GROUP_SIZE,
    RACE,
    Group,
    face_groups,
    group_table,
)
from agelens.evaluation.run_history import describe_record
from agelens.inference import distribution

AGAINST_REST = ("age_mae", "age_bias", "gender_accuracy", "interval_coverage")
"""Figures by which each group of faces is compared with all others."""
COMPARED = {
    "age_mae": -1, "age_within_5": 1, "gender_accuracy": 1, "gender_log_loss": -1, "loss": -1,
    "interval_width": 0,
}  # fmt: skip
"""Figures that are compared: 1 where more is better, -1 where less is, 0 where it depends."""
BY_GROUP = ("age_mae", "gender_accuracy")
AGREE_YEARS = 5.0  # within which models agree
APART_YEARS = 15.0  # from the label, for a label to be suspected
SHOWN = 16

Values = dict[str, Floats]


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
    groups: Sequence[Group], ages: Ints, values: Values, weights: Weights
) -> list[dict[str, Any]]:
    """Return each group's figures and their difference from all other faces, as JSON values.

    Age bands are compared with all others as they are, all other groups at equal ages.
    """
    rows = group_table(groups)
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
    return compare(
        [one.name for one in evaluated],
        [one.faces.take(both[one.found]) for one in evaluated],
        samples["file"].to_list(),
        groups,
        drawn,
    )


def compare(
    names: Sequence[str],
    faces: Sequence[Faces],
    files: Sequence[str],
    groups: Sequence[Group],
    weights: Weights,
) -> dict[str, Any]:
    """Compare every two of M models on the N faces that all answered, as JSON values.

    A difference is the second model's figure minus the first's. Each has the interval of a
    paired bootstrap (both models weighted by the same resamples, (R, N)).
    """
    values = [face_values(one) for one in faces]
    pairs = []
    for a, b in itertools.combinations(range(len(names)), 2):
        gaps = {name: values[b][name] - values[a][name] for name in COMPARED}
        pair = names[a], names[b]
        pairs.append(
            {
                "first": names[a],
                "second": names[b],
                "figures": _differences(gaps, weights, pair),
                "by_group": _by_group(gaps, groups, weights, pair),
                "together": _ensemble(faces[a], faces[b], values[a], values[b], weights),
            }
        )
    return {
        "faces": len(faces[0]),
        "pairs": pairs,
        "doubtful_labels": _suspect_labels(faces, files),
    }


def _differences(gaps: Values, weights: Weights, pair: tuple[str, str]) -> dict[str, Any]:
    return {
        name: {**gap.as_dict(), "better": better_model(name, gap, *pair)}
        for name, gap in estimate_means(gaps, weights).items()
    }


def better_model(name: str, gap: Estimate, first: str, second: str) -> str | None:
    """Name the better model by the difference of a figure; None where it may be chance."""
    sign = COMPARED[name]
    if not sign or not simultaneous_intervals.excludes_zero(gap):
        return None
    return second if gap.value * sign > 0 else first


def _by_group(
    gaps: Values, groups: Sequence[Group], weights: Weights, pair: tuple[str, str]
) -> list[dict[str, Any]]:
    rows = group_table(groups)
    for name in BY_GROUP:
        masks = [group.mask for group in groups]
        means = simultaneous_intervals.group_means(masks, gaps[name], weights)
        for row, gap in zip(rows, means, strict=True):
            row["figures"][name] = {**gap.as_dict(), "better": better_model(name, gap, *pair)}
    return rows


def _ensemble(ours: Faces, theirs: Faces, a: Values, b: Values, weights: Weights) -> dict[str, Any]:
    """Return how alike the errors of two models are, and what the plain mean of both brings."""
    female_probability = (ours.female_probability + theirs.female_probability) / 2
    error = np.abs(distribution.median((ours.probabilities + theirs.probabilities) / 2) - ours.age)
    correct = ((female_probability >= 0.5) == ours.female).astype(np.float64)
    best_error = min(a["age_mae"], b["age_mae"], key=np.mean)
    best_correct = max(a["gender_accuracy"], b["gender_accuracy"], key=np.mean)
    columns = {
        "age_mae": error,
        "age_mae_gain": error - best_error,
        "gender_accuracy": correct,
        "gender_accuracy_gain": correct - best_correct,
    }
    return {
        "error_correlation": _correlation(a["age_bias"], b["age_bias"]),
        **tables(estimate_means(columns, weights)),
    }


def _correlation(a: Floats, b: Floats) -> float | None:
    if a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _suspect_labels(faces: Sequence[Faces], files: Sequence[str]) -> dict[str, Any]:
    """Find faces on which all models agree with each other and none with the label."""
    predicted = np.stack([one.age_median for one in faces])
    label = faces[0].age
    agreed = predicted.max(axis=0) - predicted.min(axis=0) <= AGREE_YEARS
    apart = np.abs(predicted - label).min(axis=0) > APART_YEARS
    rows = np.flatnonzero(agreed & apart)
    middle = np.median(predicted, axis=0)
    rows = rows[np.argsort(-np.abs(middle - label)[rows], kind="stable")]
    return {
        "agree_within": AGREE_YEARS,
        "apart_over": APART_YEARS,
        "faces": len(rows),
        "share": len(rows) / max(len(label), 1),
        "worst": [
            {
                "file": files[row],
                "age": int(label[row]),
                "said_age": float(metrics.whole_years(middle[row])),
            }
            for row in rows[:SHOWN].tolist()
        ],
    }
