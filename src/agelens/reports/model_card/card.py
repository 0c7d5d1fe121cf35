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
from agelens.evaluation import age_standardization, bootstrap, cost
from agelens.evaluation.evaluate import describe_model, model_name
from agelens.evaluation.evaluation_folder import load, read_figures
from agelens.evaluation.figures import face_values
from agelens.evaluation.groups import GENDER, RACE, face_groups
from agelens.evaluation.run_history import describe_record, read_record
from agelens.inference.runtime import Model
from agelens.output.tables import replacing
from agelens.reports import markdown
from agelens.reports import page as pages
from agelens.reports.model_card.page import card
from agelens.reports.page import Page
from agelens.reports.traced_text import Node

Report = Callable[[str], None]
"""Is told what is being done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which card to write."""

    model: str  # a shipped name, a run folder, an ONNX file
    output: Path
    evaluation: Path | None = None  # None: one that lies in the run folder
    timing: bool = True  # measure the time a face takes
    threads: int = 1


def write(plan: Plan, report: Report = lambda _: None) -> Page:
    """Write a card; give its page.

    Raises ModelError for no model, SourceError for no evaluation, DatasetError for an
    evaluation of another model, MissingExtra where jinja2 is not installed.
    """
    page = make(plan, report)
    try:
        plan.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"cannot write to {str(plan.output)!r}: {error.strerror or error}; expected a folder"
        ) from error
    pages.write(page, plan.output / "model-card.html")
    with replacing(plan.output / "model-card.md") as file:
        file.write(markdown.render(page))
    return page


def make(plan: Plan, report: Report = lambda _: None) -> Page:
    """Gather what is known of a model and tell it, without writing."""
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
        report("time for a face")
        tree["cost"] = cost.measure(model, plan.threads)
    return card(Node(tree))


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
