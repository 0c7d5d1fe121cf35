"""Whether what a model says of its own certainty is so."""

import numpy as np

from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.comparison.sections.terms import answered, headline, sure_decades
from agelens.reports.page import Cell, Chart, Part, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, join, say, word

PROMISE = 0.9


def certainty(tree: Node) -> Section:
    """Draw reliability and coverage, and say what they mean."""
    models = answered(tree)
    parts: list[Part] = [
        Text(
            [join([coverage_words(n, m), gender_words(n, m), doubt_words(n, m)]) for n, m in models]
        )
    ]
    for name, model in models:
        parts += [_gender(name, model), intervals(name, model)]
    parts += [_levels(models), _surest(models)]
    parts += [_by_predicted(name, model) for name, model in models]
    return Section("Certainty", parts)


def coverage_words(name: str, model: Node) -> Sentence:
    """Hold the coverage of the 90% interval against what it promises."""
    found = headline(model, "interval_coverage")
    if found is None:
        return Sentence("")
    seen = found.figure
    if seen.low <= PROMISE <= seen.high:
        verdict = "as often as it promises"
    elif seen.value < PROMISE:
        verdict = "less often than it promises"
    else:
        verdict = "more often than it promises"
    return say(
        "{name}: the 90% interval of the age holds the label in {seen} of faces, {verdict}.",
        name=name,
        seen=found.span("share"),
        verdict=Sentence(verdict),
    )


def gender_words(name: str, model: Node) -> Sentence:
    """Say whether the probability of the gender is too sure, too modest, or neither."""
    found = model["reliability"]["gender"]
    gap = found["accuracy_minus_confidence"]["all"]
    accuracy = headline(model, "gender_accuracy")
    if accuracy is None:
        return Sentence("")
    figure = gap.figure
    verdict = (
        "more modest than it need be"
        if figure.low > 0
        else "surer than it may be"
        if figure.high < 0
        else "no different beyond chance"
    )
    return say(
        "Its gender is right in {right} of faces and said with a mean probability of {said}: "
        "{verdict}.",
        right=accuracy.point("share"),
        said=found["confidence"].point("share"),
        verdict=Sentence(verdict),
    )


def doubt_words(name: str, model: Node) -> Sentence:
    """Say whether the model knows which of its ages are far off."""
    found = model["reliability"]["doubt"]
    surest, everything = found["surest"][1], found["surest"][-1]
    return say(
        "It expects {said} of its ages to be off by more than {years} years, and {seen} are; the "
        "half of the faces it is surest of are off by {half} years on average, all by {all}.",
        said=found["said"].point("share"),
        years=found["years"].show("number"),
        seen=found["seen"].point("share"),
        half=surest["age_mae"].point("years"),
        all=everything["age_mae"].point("years"),
    )


def _gender(name: str, model: Node) -> Chart:
    bins = model["reliability"]["gender"]["bins"].value
    said, seen = ([np.nan if v is None else v for v in bins[key]] for key in ("said", "seen"))
    faces = sum(bins["faces"])
    svg = charts.reliability(
        said, seen, bins["faces"],
        Axes("said probability of \"female\"", "labelled \"female\"", faces),
    )  # fmt: skip
    return Chart(
        svg,
        say(
            "{name}: reliability of the gender. On the dashed line the probability is as often "
            "right as it says; below, how many faces stand behind each point.",
            name=name,
        ),
    )


def intervals(name: str, model: Node) -> Chart:
    """Draw the coverage of the interval by the decade of the label."""
    rows = list(sure_decades(model))
    value, low, high = (
        [row["figures"]["interval_coverage"].value[key] for row in rows]
        for key in ("value", "low", "high")
    )
    svg = charts.forest(
        [row["group"]["decade"].value for row in rows], value, low, high,
        Axes("labels inside the 90% interval", "", sum(row["faces"].value for row in rows)),
        counts=[row["faces"].value for row in rows], reference=PROMISE, share=True,
    )  # fmt: skip
    return Chart(
        svg,
        say(
            "{name}: coverage of the 90% interval by the decade of the label; dashed: what it "
            "promises.",
            name=name,
        ),
    )


def _levels(models: list[tuple[str, Node]]) -> Chart:
    series = {"perfect": Line([0, 100], [0, 1])}
    for name, model in models:
        rows = [row.value for row in model["reliability"]["age"]["coverage"]]
        said, value, low, high = (
            [row[key] for row in rows] for key in ("said", "value", "low", "high")
        )
        series[name] = Line([100 * one for one in said], value, low, high)
    faces = models[0][1]["subsets"]["all"]["faces"].value
    svg = charts.lines(
        series,
        Axes("said mass of the central interval, %", "labels inside", faces),
        share=True,
    )
    return Chart(
        svg,
        Sentence(
            "Reliability of the age distribution: below the line of the perfect one it is too "
            "narrow, above too wide. The 90% interval is set apart from this, on validation faces."
        ),
    )


def _surest(models: list[tuple[str, Node]]) -> Chart:
    series = {}
    for name, model in models:
        rows = list(model["reliability"]["doubt"]["surest"])
        value, low, high = (
            [row["age_mae"].value[key] for row in rows] for key in ("value", "low", "high")
        )
        series[name] = Line([100 * row["share"].value for row in rows], value, low, high)
    faces = models[0][1]["subsets"]["all"]["faces"].value
    svg = charts.lines(
        series, Axes("faces kept, the surest first, %", "age MAE, years", faces), markers=True
    )
    return Chart(svg, Sentence("Age error of the faces that a model is surest of."))


def _by_predicted(name: str, model: Node) -> Table:
    rows: list[list[Cell]] = []
    for row in model["reliability"]["by_predicted_age"]:
        figures = row["figures"]
        rows.append(
            [
                word(row["group"]["predicted age"].value),
                row["faces"].show("count"),
                figures["age_mae"].span("years"),
                figures["age_bias"].span("signed years"),
                figures["interval_coverage"].span("share"),
                figures["interval_width"].span("tenth"),
            ]
        )
    columns = ["predicted", "faces", "age MAE, years", "bias, years", "coverage", "width, years"]
    caption = say("{name} by predicted age: all that a user has to go by", name=name)
    return Table(columns, rows, caption, wide=True)
