"""How it was measured, and what these figures cannot say."""

from agelens.reports.page import Section, Text
from agelens.reports.traced_text import Node, Sentence, say


def method(tree: Node) -> Section:
    """Say how the figures came about, and their limits."""
    methods = tree["methods"]
    paragraphs = [
        say("Intervals: {text}.", text=str(methods["intervals"].value)),
        say("Gaps between groups: {text}.", text=str(methods["gaps"].value)),
        say("Groups against all others, and models by group: {text}.",
            text=str(methods["groups"].value)),
        say("Loss: {text}.", text=str(methods["loss"].value)),
        Sentence(
            "Gender is the appearance label that annotators saw, with two values; it says nothing "
            "of how a person identifies. Ages are apparent ages and estimates themselves."
        ),
        Sentence(
            "The faces are of one collection, aligned and centred. On pictures of another kind "
            "errors may be larger and intervals may not hold. An interval here says how much a "
            "figure would move with other faces of the same kind; it does not say how much it "
            "would move had the model been trained again with another seed or on another split."
        ),
        Sentence("Every number on this page stands in report.json, beside it."),
    ]  # fmt: skip
    return Section("How it was measured, and its limits", [Text(paragraphs)])
