"""The whole page: summary, sections in their order, foot."""

from agelens.evaluation.report.quoting import Node, Sentence, listed, say, word
from agelens.evaluation.report.tell.age import Points, age
from agelens.evaluation.report.tell.by_group import by_group
from agelens.evaluation.report.tell.certainty import certainty
from agelens.evaluation.report.tell.compared import compared
from agelens.evaluation.report.tell.confused import confused
from agelens.evaluation.report.tell.looked_at import Looked, looked_at
from agelens.evaluation.report.tell.method import method
from agelens.evaluation.report.tell.overview import figures, measured
from agelens.evaluation.report.tell.summary import summary
from agelens.evaluation.report.tell.terms import (
    answered,
    pairs,
    shown_command,
    which_faces,
)
from agelens.evaluation.report.tell.training import training
from agelens.evaluation.report.tell.verdicts import verdicts
from agelens.evaluation.report.tell.worst import Album, worst
from agelens.page import Page, Section


def whole(tree: Node, points: Points, album: Album | None, looked: Looked | None) -> Page:
    """Make the page of a tree of figures.

    `points` are the ages for the scatter plots; `album` gives pictures and `looked` the maps of
    saliency, where they are at hand.
    """
    names = list(tree["models"].value)
    sections: list[Section] = [measured(tree)]
    if any(model["subsets"]["all"]["faces"].value for _, model in tree["models"].items()):
        sections.append(figures(tree))
    if answered(tree):
        if any(True for _ in pairs(tree)):
            sections.append(compared(tree))
        sections += [
            verdicts(tree), training(tree), age(tree, points), confused(tree), certainty(tree),
            by_group(tree), worst(tree, album), looked_at(tree, looked),
        ]  # fmt: skip
    sections.append(method(tree))
    return Page(
        say("{names}: how good, where, and for whom", names=listed([word(n) for n in names])),
        _subtitle(tree),
        summary(tree),
        sections,
        _foot(tree),
    )


def _subtitle(tree: Node) -> Sentence:
    data = tree["data"]
    flips = {model["flip"].value for _, model in tree["models"].items()}
    asked = {
        (True,): "with flip averaging",
        (False,): "without flip averaging",
    }.get(tuple(flips), "some with flip averaging, some without")
    return say(
        "{faces} faces of {name}, {which}, {asked}",
        faces=data["faces"].show("count"),
        name=str(data["name"].value),
        which=which_faces(data),
        asked=Sentence(asked),
    )


def _foot(tree: Node) -> list[Sentence]:
    lines = [
        say("{name}: {command}, {date}, file SHA-256 {digest}", name=name,
            command=shown_command(model["command"].value or "no command on record"),
            date=model["date"].value, digest=model["about"]["sha256"].value[:16])
        for name, model in tree["models"].items()
    ]  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in tree["versions"].value.items())
    return [
        *lines,
        say(
            "Data fingerprint {digest}. Page: {command}, {date}. {versions}.",
            digest=tree["data"]["fingerprint"].value[:16],
            command=shown_command(tree["command"].value or "from Python"),
            date=tree["date"].value,
            versions=versions,
        ),
    ]
