"""The model card of a model, as a page: what `agelens card` calls.

After Mitchell et al., "Model Cards for Model Reporting" (2019): use, limits, data, figures by
group, calibration, cost, how to repeat. A card folder holds `model-card.md` and
`model-card.html`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from agelens import provenance
from agelens.errors import DatasetError, SourceError
from agelens.evaluation import age_standardization, bootstrap
from agelens.evaluation.evaluate import describe_model, model_name
from agelens.evaluation.evaluation_folder import (
    describe_record,
    load,
    read_figures,
    read_record,
)
from agelens.evaluation.figures import face_values
from agelens.evaluation.groups import GENDER, RACE, face_groups
from agelens.evaluation.predictions import measure_cost
from agelens.inference.runtime import Model
from agelens.output.tables import replacing
from agelens.reports import findings, rendering
from agelens.reports.comparison import charts, facts, rules
from agelens.reports.comparison.facts import headline
from agelens.reports.comparison.report import Made, make_folder
from agelens.reports.findings import Finding, finding, strange
from agelens.reports.model_card import provenance as origin
from agelens.reports.numbers import Node

Progress = Callable[[str], None]
"""Called with the current stage."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which card to write."""

    model: str  # a shipped name, a run folder, an ONNX file
    output: Path
    evaluation: Path | None = None  # None: one that lies in the run folder
    timing: bool = True  # measure the time a face takes
    threads: int = 1


def write(plan: Plan, progress: Progress = lambda _: None) -> Made:
    """Write a card; return what was made.

    Raises ModelError for no model, SourceError for no evaluation, DatasetError for an
    evaluation of another model, MissingExtra where jinja2 is not installed.
    """
    made = make(plan, progress)
    make_folder(plan.output)
    rendering.write_html(plan.output / "model-card.html", made.template, **made.page())
    with replacing(plan.output / "model-card.md") as file:
        file.write(rendering.markdown(made.template, **made.page("markdown")))
    return made


def make(plan: Plan, progress: Progress = lambda _: None) -> Made:
    """Gather what is known about a model, and decide what to say, without writing."""
    model = Model(plan.model, plan.threads)
    name = model_name(model)
    folder = plan.evaluation or find_evaluation(model)
    about = describe_model(model, name)
    measured = None if folder is None else _evaluation(folder, model)
    tree: dict[str, Any] = {
        "name": name,
        "date": provenance.now(),
        "measured": measured is not None,
        "models": {
            name: {
                "about": {**about, "megabytes": about["bytes"] / 1e6},
                "training": describe_record(read_record(model.path.parent)),
                "flip": None if measured is None else measured["flip"],
                "subsets": {},
            }
        },
        "cost": None,
    }
    if measured is not None:
        tree["data"] = {**measured["data"], "faces": measured["faces"]}
        tree["methods"] = measured["methods"]
        for key in ("command", "date", "subsets", "by_decade", "by_group"):
            tree["models"][name][key] = measured[key]
        tree["models"][name]["equal_ages"] = _equal_ages(folder)
    if plan.timing:
        progress("time for a face")
        tree["cost"] = measure_cost(model, plan.threads)
    return _describe(tree, name)


def _describe(tree: dict[str, Any], name: str) -> Made:
    node = Node(tree)
    model = node["models"][name]
    card = model["about"]["card"].value
    measured = bool(tree["measured"])
    noise = node["data"].get("label_noise") if measured else None
    found = _measured(name, node, model) if measured else _unmeasured(model)
    steps = origin.commands(card, model["command"].value if measured else None)
    context = {
        "tree": node, "name": name, "model": model, "measured": measured, "own": card,
        "facts": facts, "draw": charts.Drawn(), "noise": bool(noise and noise["pairs"]),
        "starts": [origin.STARTS.get(one, one) for one in origin.starts(card)], "steps": steps,
        "terms": origin.data_terms(card, tree.get("data", {})),
    }  # fmt: skip
    foremost = findings.foremost([one for one in found if one.importance])
    return Made(tree, context, found, foremost, "model_card/page.jinja")


def _measured(name: str, tree: Node, model: Node) -> list[Finding]:
    """Return the findings about a model with an evaluation."""
    mae, near = headline(model, "age_mae"), headline(model, "age_within_5")
    found = []
    if mae is not None and near is not None:
        found.append(finding("card_age", "bias by age", 100, mae=mae, near=near))
    return [
        *found,
        *rules.gender_accuracy(name, model, best=True),
        *rules.by_age(name, model, best=True),
        *rules.coverage(name, model, best=True),
        *rules.group_gaps(name, model, best=True),
        *rules.label_noise(tree),
    ]


def _unmeasured(model: Node) -> list[Finding]:
    """Return the figures that the card in the file has, without intervals."""
    test = model["about"]["card"].get("test")
    found = [strange("no_evaluation", "", 110)]
    return found if test is None else [*found, finding("own_figures", "", 100, test=test)]


def find_evaluation(model: Model) -> Path | None:
    """Find an evaluation of a model on test folds in its run folder; None where there is none.

    One made the way the model is asked by default (flip averaging or not) comes first.
    """
    flip = bool(model.card.get("flip", False))
    found = []
    for file in sorted(model.path.resolve().parent.glob("evaluation*/evaluation.json")):
        try:
            about = read_figures(file.parent)
        except (DatasetError, SourceError):
            continue
        if about["data"]["part"] == "test" and is_of(about, model) and not about["pipeline"]:
            found.append((about["flip"] != flip, file.parent))
    return min(found)[1] if found else None


def is_of(about: dict[str, Any], model: Model) -> bool:
    """Tell whether an evaluation is of this model.

    A model that was shipped differs from the file of its run in the test figures that were put
    into its card, and in nothing else.
    """
    if about["model"]["sha256"] == describe_model(model, "")["sha256"]:
        return True
    theirs, ours = (
        json.dumps({k: v for k, v in card.items() if k != "test"}, sort_keys=True)
        for card in (about["model"]["card"], model.card)
    )
    return theirs == ours and "made" in model.card


def _equal_ages(folder: Path | None) -> list[dict[str, Any]]:
    """Measure the groups at equal ages, where the predictions lie beside the figures."""
    if folder is None or not (folder / "predictions.parquet").is_file():
        return []
    one = load(folder)
    if not len(one.faces):
        return []
    groups = face_groups(one.samples.filter(pl.Series(one.found)))
    people = [group for group in groups if group.by in (GENDER, RACE)]
    weights = bootstrap.resample(one.clusters)[:, one.found]
    return age_standardization.measure(people, one.faces.age, face_values(one.faces), weights)


def _evaluation(folder: Path, model: Model) -> dict[str, Any]:
    about = read_figures(folder)
    if not is_of(about, model):
        raise DatasetError(
            f"{str(folder)!r} is an evaluation of another model ({about['model']['name']!r}, made "
            f"{about['model']['card'].get('made', 'at an unknown time')}): expected one of "
            f"{str(model.path)!r}; run  agelens evaluate {model.path} --data DATA"
        )
    return about
