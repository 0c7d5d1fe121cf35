"""What the rules share: who beats whom, and which groups stand apart.

A difference is stated only where its interval excludes zero.
"""

from collections.abc import Container, Iterator

from agelens.evaluation.groups import AGE
from agelens.reports.comparison.sections.certainty import PROMISE
from agelens.reports.comparison.sections.terms import QUALITIES, name_of, pairs
from agelens.reports.traced_text import Node, Sentence, listed, say

MOST = 3
"""Groups named by one rule."""
RANKED = (
    # figure, what it is called, form, unit
    ("age_mae", "age error", "years", " years"),
    ("gender_accuracy", "gender accuracy", "points", " points"),
)


def rank(tree: Node, name: str, *, best: bool) -> Iterator[Sentence]:
    """Hold a model against every other one; say where it beats all, or is beaten by all."""
    own = [pair for pair in pairs(tree) if name in (pair["first"].value, pair["second"].value)]
    if not own:
        return
    for figure, words, form, unit in RANKED:
        places = [pair["figures"][figure] for pair in own]
        names = [_other(pair, name) for pair in own]
        won = [place["better"].value == name for place in places]
        lost = [place["better"].value not in (name, None) for place in places]
        if not all(won if best else lost):
            continue
        several = len(own) > 1
        yield say(
            "{rank} {words}: {gaps}.",
            rank=Sentence(_word(figure, best, several)),
            words=Sentence(words),
            gaps=listed(
                [
                    say(
                        "{gap} {side} than {other}",
                        gap=place.span(form, size=True, unit=unit),
                        side=Sentence("less" if (figure == "age_mae") == best else "more"),
                        other=other,
                    )
                    for place, other in zip(places, names, strict=True)
                ]
            ),
        )


def _word(figure: str, best: bool, several: bool) -> str:
    low = (figure == "age_mae") == best
    if several:
        return "The lowest" if low else "The highest"
    return "The lower" if low else "The higher"


def _other(pair: Node, name: str) -> str:
    first, second = str(pair["first"].value), str(pair["second"].value)
    return second if first == name else first


def rows_apart(
    model: Node, figure: str, *, less: bool, kinds: Container[str] = (AGE, *QUALITIES)
) -> list[Node]:
    """Give the groups whose figure is less, or more, than that of all others; widest first."""
    rows = [
        row
        for row in model["against_rest"]
        if row["figures"][figure]["more_than_chance"].value
        and (row["figures"][figure]["against_rest"].value["value"] < 0) == less
        and row["by"].value in kinds
    ]
    rows.sort(key=lambda row: -abs(row["figures"][figure]["against_rest"].value["value"]))
    return rows


def groups_apart(model: Node, figure: str, *, less: bool) -> Iterator[Sentence]:
    """Name the groups whose age error is less, or more, than that of all others."""
    rows = rows_apart(model, figure, less=less)
    if rows:
        yield say(
            "Age error, years, {side} than for all other faces: {groups}.",
            side=Sentence("less" if less else "more"),
            groups=listed(
                [
                    say(
                        "{group} by {gap}",
                        group=name_of(row),
                        gap=row["figures"][figure]["against_rest"].span("years", size=True),
                    )
                    for row in rows[:MOST]
                ]
            ),
        )


def short_intervals(model: Node) -> list[Node]:
    """Give the groups whose intervals hold the label less often than promised."""
    rows = [
        row
        for row in model["against_rest"]
        if row["figures"]["interval_coverage"].figure.high < PROMISE
    ]
    rows.sort(key=lambda row: row["figures"]["interval_coverage"].value["value"])
    return rows


def apart(place: Node, value: float) -> bool:
    """Tell whether the interval of a figure excludes a value."""
    figure = place.figure
    return figure.low > value or figure.high < value
