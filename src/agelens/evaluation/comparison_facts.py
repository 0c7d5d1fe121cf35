"""The tree of facts of a comparison report: all its figures as JSON values (`report.json`)."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from agelens.evaluation import age_standardization, bootstrap, error_analysis, metrics
from agelens.evaluation.bootstrap import MIN_GROUP_SIZE, Estimate, Floats, Mask, Names, Weights
from agelens.evaluation.evaluation_folder import Evaluated
from agelens.evaluation.figures import Faces, face_values
from agelens.evaluation.groups import GENDER, RACE, Group, face_groups, group_table
from agelens.inference import distribution

COMPARED = {  # 1 where more is better, -1 where less is, 0 where it depends
    "age_mae": -1, "age_within_5": 1, "gender_accuracy": 1, "gender_log_loss": -1, "loss": -1,
    "interval_width": 0,
}  # fmt: skip
BY_GROUP = ("age_mae", "gender_accuracy")
AGREE_YEARS = 5.0  # within which models agree
APART_YEARS = 15.0  # from the label, for a label to be suspected
SHOWN = 16
COPIED = ("command", "date", "flip", "pipeline", "subsets", "by_decade", "by_group", "missed")
"""What is taken over from evaluation.json."""

Values = dict[str, Floats]


def measure(
    evaluated: Sequence[Evaluated], quality: Mapping[str, Names] | None,
    progress: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Measure M evaluations of the same N faces; `quality` as in `groups.face_groups`.

    `progress` is called with what is being measured. For a model that answered fewer than
    MIN_GROUP_SIZE faces nothing is measured beyond its evaluation.
    """
    first = evaluated[0]
    weights = bootstrap.resample(first.clusters)
    facts: dict[str, Any] = {
        "data": {**first.about["data"], "faces": len(first.samples)},
        "methods": {**first.about["methods"], "groups": bootstrap.SIMULTANEOUS_METHOD},
        "models": {},
    }
    for one in evaluated:
        progress(f"figures of {one.name}")
        facts["models"][one.name] = _model_facts(one, quality, weights)
    if len(evaluated) > 1:
        progress("comparison")
        both = np.logical_and.reduce([one.found for one in evaluated])
        samples, groups, drawn = _select(first, both, quality, weights)
        names, files = list(facts["models"]), samples["file"].to_list()
        faces = [one.faces.take(both[one.found]) for one in evaluated]
        enough = both.sum() >= MIN_GROUP_SIZE
        facts["comparison"] = compare(names, faces, files, groups, drawn) if enough else None
    return facts


def _model_facts(
    one: Evaluated, quality: Mapping[str, Names] | None, weights: Weights
) -> dict[str, Any]:
    about = one.about
    model: dict[str, Any] = {
        "about": {**about["model"], "megabytes": about["model"]["bytes"] / 1e6},
        "training": one.training,
        "learnt": one.training_figures,
        "learnt_from": about.get("learnt_from"),
        **{key: about[key] for key in COPIED if key in about},
    }
    if len(one.faces) < MIN_GROUP_SIZE:
        return model
    samples, groups, drawn = _select(one, one.found, quality, weights)
    values = face_values(one.faces)
    people = [group for group in groups if group.by in (GENDER, RACE)]
    return model | {
        "confusion": error_analysis.confusion(one.faces, drawn),
        "reliability": error_analysis.reliability(one.faces, drawn),
        "mistakes": error_analysis.largest_errors(samples, one.faces, drawn),
        "against_rest": age_standardization.against_rest(groups, one.faces.age, values, drawn),
        "equal_ages": age_standardization.measure(people, one.faces.age, values, drawn),
    }


def _select(
    one: Evaluated, rows: Mask, quality: Mapping[str, Names] | None, weights: Weights
) -> tuple[pl.DataFrame, list[Group], Weights]:
    samples = one.samples.filter(pl.Series(rows))
    some = None if quality is None else {by: names[rows] for by, names in quality.items()}
    return samples, face_groups(samples, some), weights if rows.all() else weights[:, rows]


def compare(
    names: Sequence[str], faces: Sequence[Faces], files: Sequence[str], groups: Sequence[Group],
    weights: Weights,
) -> dict[str, Any]:  # fmt: skip
    """Compare every two of M models on the N faces that all answered, as JSON values.

    A difference is the second model's figure minus the first's (paired bootstrap).
    """
    values = [face_values(one) for one in faces]
    masks = [group.mask for group in groups]
    pairs = []
    for a, b in itertools.combinations(range(len(names)), 2):
        pair = names[a], names[b]
        gaps = {name: values[b][name] - values[a][name] for name in COMPARED}
        estimates = bootstrap.estimate_means(gaps, weights)
        by_group = group_table(groups)
        for name in BY_GROUP:
            means = bootstrap.estimate_group_means(masks, gaps[name], weights)
            for row, gap in zip(by_group, means, strict=True):
                row["figures"][name] = _with_better_model(name, gap, pair)
        pairs.append(
            {
                "first": names[a],
                "second": names[b],
                "figures": {n: _with_better_model(n, gap, pair) for n, gap in estimates.items()},
                "by_group": by_group,
                "together": _ensemble(faces[a], faces[b], values[a], values[b], weights),
            }
        )
    labels = _suspect_labels(faces, files)
    return {"faces": len(faces[0]), "pairs": pairs, "doubtful_labels": labels}


def _with_better_model(name: str, gap: Estimate, pair: tuple[str, str]) -> dict[str, Any]:
    """Return a difference with the better model's name; None where it may be chance."""
    sign = COMPARED[name] if gap.excludes_zero else 0
    return {**gap.as_dict(), "better": pair[gap.value * sign > 0] if sign else None}


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
    biases = a["age_bias"], b["age_bias"]
    vary = all(bias.std() for bias in biases)
    return {
        "error_correlation": float(np.corrcoef(*biases)[0, 1]) if vary else None,
        **bootstrap.tables(bootstrap.estimate_means(columns, weights)),
    }


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
            {"file": files[row], "age": int(label[row]), "said_age": float(said)}
            for row, said in zip(rows.tolist(), metrics.whole_years(middle[rows]), strict=True)
        ][:SHOWN],
    }
