"""What a model does badly: sentences by rule, off the figures."""

from collections.abc import Iterator

from agelens.reports.comparison.sections.certainty import PROMISE
from agelens.reports.comparison.sections.rules import (
    MOST,
    RANKED,
    apart,
    groups_apart,
    rank,
    rows_apart,
    short_intervals,
)
from agelens.reports.comparison.sections.terms import headline, name_of
from agelens.reports.traced_text import Node, Sentence, listed, say, word


def weaknesses(tree: Node, name: str, model: Node) -> list[Sentence]:
    """Say what a model does worse than the others, or worse than elsewhere."""
    return [
        *rank(tree, name, best=False),
        *groups_apart(model, "age_mae", less=False),
        *_biases(model),
        *_genders(model),
        *_coverages(model),
        *_too_wide(model),
        *_dishonest_gender(model),
        *_unequal(model),
        *_missed(model),
    ]


def _biases(model: Node) -> Iterator[Sentence]:
    """Name the age bands that are taken for older or younger."""
    rows = [
        row
        for row in model["against_rest"]
        if row["by"].value == "age" and apart(row["figures"]["age_bias"], 0)
    ]
    rows.sort(key=lambda row: -abs(row["figures"]["age_bias"].value["value"]))
    for row in rows[:2]:
        bias = row["figures"]["age_bias"]
        yield say(
            "Makes {group} too {side}, by {years}.",
            group=name_of(row),
            years=bias.span("years", size=True, unit=" years"),
            side=Sentence("old" if bias.value["value"] > 0 else "young"),
        )


def _genders(model: Node) -> Iterator[Sentence]:
    rows = rows_apart(model, "gender_accuracy", less=True)
    if rows:
        yield say(
            "More wrong genders than elsewhere: {groups}.",
            groups=listed(
                [
                    say(
                        "{group} ({own} right)",
                        group=name_of(row),
                        own=row["figures"]["gender_accuracy"].span("share"),
                    )
                    for row in rows[:MOST]
                ]
            ),
        )


def _coverages(model: Node) -> Iterator[Sentence]:
    rows = short_intervals(model)
    if rows:
        yield say(
            "Its 90% intervals are too narrow for {groups}.",
            groups=listed(
                [
                    say(
                        "{group} (they hold {seen})",
                        group=name_of(row),
                        seen=row["figures"]["interval_coverage"].span("share"),
                    )
                    for row in rows[:MOST]
                ]
            ),
        )


def _too_wide(model: Node) -> Iterator[Sentence]:
    found = headline(model, "interval_coverage")
    if found is not None and found.figure.low > PROMISE:
        yield say(
            "Its 90% intervals are wider than they need be: they hold {seen} of the labels.",
            seen=found.span("share"),
        )


def _dishonest_gender(model: Node) -> Iterator[Sentence]:
    gaps = model["reliability"]["gender"]["accuracy_minus_confidence"]
    everyone = gaps["all"]
    if everyone.figure.low <= 0 <= everyone.figure.high:
        return
    yield say(
        "Its probability of the gender is too {side}: it is right {gap} {kind} often than it says.",
        side=Sentence("modest" if everyone.figure.low > 0 else "sure"),
        kind=Sentence("more" if everyone.figure.low > 0 else "less"),
        gap=everyone.span("points", size=True, unit=" points"),
    )


def _unequal(model: Node) -> Iterator[Sentence]:
    for breakdown in model["equal_ages"]:
        for figure, words, form, unit in RANKED:
            gap = breakdown["largest_gap"][figure]
            if gap["more_than_chance"].value:
                yield say(
                    "Serves groups unequally even at equal ages: {words} is {gap} higher for faces "
                    "labelled {higher} than for {lower}.",
                    words=Sentence(words),
                    gap=gap.span(form, unit=unit),
                    higher=word(gap["higher"].value),
                    lower=word(gap["lower"].value),
                )


def _missed(model: Node) -> Iterator[Sentence]:
    if "missed" not in model or not model["missed"]["faces"].value:
        return
    yield say(
        "{faces} faces were not found at all ({share}).",
        faces=model["missed"]["faces"].show("count"),
        share=model["missed"]["share"].span("share"),
    )
