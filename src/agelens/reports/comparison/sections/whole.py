"""The whole page: summary, sections in their order, foot."""

from agelens.reports.comparison.sections.age import Points, age
from agelens.reports.comparison.sections.by_group import by_group
from agelens.reports.comparison.sections.certainty import certainty
from agelens.reports.comparison.sections.compared import compared
from agelens.reports.comparison.sections.confused import confused
from agelens.reports.comparison.sections.looked_at import Looked, looked_at
from agelens.reports.comparison.sections.method import method
from agelens.reports.comparison.sections.overview import figures, measured
from agelens.reports.comparison.sections.summary import summary
from agelens.reports.comparison.sections.terms import (
    answered,
    pairs,
    shown_command,
    which_faces,
)
from agelens.reports.comparison.sections.training import training
from agelens.reports.comparison.sections.verdicts import verdicts
from agelens.reports.comparison.sections.worst import Album, worst
from agelens.reports.page import Page, Section
from agelens.reports.traced_text import Node, Sentence, listed, say, word


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
