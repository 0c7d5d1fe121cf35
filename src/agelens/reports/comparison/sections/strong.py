"""What a model does well: sentences by rule, off the figures."""

from collections.abc import Iterator

from agelens.reports.comparison.sections.certainty import PROMISE
from agelens.reports.comparison.sections.rules import groups_apart, rank, short_intervals
from agelens.reports.comparison.sections.terms import headline
from agelens.reports.traced_text import Node, Sentence, say

CLOSE = 0.03
"""What is known no better than this is no strength."""


def strengths(tree: Node, name: str, model: Node) -> list[Sentence]:
    """Say what a model does better than the others, or better than elsewhere."""
    return [
        *rank(tree, name, best=True),
        *groups_apart(model, "age_mae", less=True),
        *_honest_intervals(model),
        *_honest_gender(model),
        *_knows_its_doubt(model),
    ]


def _honest_intervals(model: Node) -> Iterator[Sentence]:
    found = headline(model, "interval_coverage")
    if found is None or not found.figure.low <= PROMISE <= found.figure.high:
        return
    if found.figure.high - found.figure.low > 2 * CLOSE:
        return  # too little known
    short = short_intervals(model)
    said = say("Its 90% intervals hold what they promise: {seen}", seen=found.span("share"))
    yield (
        say("{said}, and no age band falls short beyond chance.", said=said)
        if not any(row["by"].value == "age" for row in short)
        else say("{said}, if not in every age band (see below).", said=said)
    )


def _honest_gender(model: Node) -> Iterator[Sentence]:
    gap = model["reliability"]["gender"]["accuracy_minus_confidence"]["all"]
    if -CLOSE < gap.figure.low <= 0 <= gap.figure.high < CLOSE:
        yield say(
            "Its probability of the gender can be taken at its word: right less said is {gap}.",
            gap=gap.span("signed points", unit=" points"),
        )


def _knows_its_doubt(model: Node) -> Iterator[Sentence]:
    quarter, _, _, everything = model["reliability"]["doubt"]["surest"]
    if quarter["age_mae"].figure.high < everything["age_mae"].figure.low:
        yield say(
            "It knows where it is sure: the surest quarter of the faces is off by {sure} years, "
            "all by {all}.",
            sure=quarter["age_mae"].point("years"),
            all=everything["age_mae"].point("years"),
        )
