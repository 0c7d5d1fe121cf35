"""Which label is taken for which."""

import numpy as np

from agelens.reports import charts
from agelens.reports.charts import Axes
from agelens.reports.comparison.sections.terms import answered
from agelens.reports.page import Chart, Part, Section, Text
from agelens.reports.traced_text import Node, Sentence, join, say


def confused(tree: Node) -> Section:
    """Draw the confusion matrices of gender and of age groups."""
    models = answered(tree)
    parts: list[Part] = [Text([_words(name, model) for name, model in models])]
    for name, model in models:
        faces = model["subsets"]["all"]["faces"].value
        for kind, words in (("gender", "gender"), ("age_groups", "age group")):
            parts.append(_matrix(name, model["confusion"][kind], words, faces))
    return Section("What is taken for what", parts)


def _words(name: str, model: Node) -> Sentence:
    found = model["confusion"]
    wrong = found["wrong_genders"]
    sentences = [
        say(
            "{name}: {near} of faces are put into their age group (FairFace's nine) or one beside "
            "it.",
            name=name,
            near=found["one_off"].span("share"),
        )
    ]
    if wrong["faces"].value:
        sentences.append(
            say(
                "The gender is wrong for {wrong} faces, of whom {young} ({share}) are under 13.",
                wrong=wrong["faces"].show("count"),
                young=wrong["under_13"].show("count"),
                share=wrong["share_under_13"].show("share"),
            )
        )
    return join(sentences)


def _matrix(name: str, matrix: Node, words: str, faces: int) -> Chart:
    shares = np.array(
        [[np.nan if one is None else one for one in row] for row in matrix["shares"].value], float
    )
    names = matrix["names"].value
    svg = charts.heat(
        shares, names, names, Axes(f"predicted {words}", f"{words} label", faces),
        unit="share of the label's faces", form="{:.0%}",
    )  # fmt: skip
    return Chart(
        svg,
        say(
            "{name}: {words}. Each row adds up to {all}; the diagonal is right.",
            name=name,
            words=Sentence(words),
            all=Sentence("100%"),
        ),
    )
