"""The age: predicted against true, error and bias by age, how large errors get."""

import numpy as np
from numpy.typing import NDArray

from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.comparison.sections.terms import answered, headline, sure_decades
from agelens.reports.page import Cell, Chart, Part, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, join, say, word

Points = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
"""True and predicted ages, (N,) each, by model."""


def age(tree: Node, points: Points) -> Section:
    """Draw and tell how good the ages are."""
    models = answered(tree)
    parts: list[Part] = [
        Text([_typical(name, model) for name, model in models]),
        *(_against_truth(name, *points[name]) for name, _ in models),
        _cumulative(models),
        *by_decade(models),
        *(decades(name, model) for name, model in models),
    ]  # fmt: skip
    return Section("Age", parts)


def _typical(name: str, model: Node) -> Sentence:
    half, _, nine, _ = model["mistakes"]["error_quantiles"]
    far = model["mistakes"]["far_off"]
    sentences = [
        say(
            "{name}: half of the faces are off by less than {half} years, nine in ten by less than "
            "{nine}; {far} are off by more than {years} years.",
            name=name,
            half=half.point("tenth"),
            nine=nine.point("tenth"),
            far=far.span("share"),
            years=far["years"].show("number"),
        )
    ]
    near = headline(model, "age_within_5")
    exact = headline(model, "age_exact")
    if near is not None and exact is not None:
        sentences.append(
            say(
                "{exact} are right to the year, {near} within 5 years.",
                exact=exact.point("share"),
                near=near.point("share"),
            )
        )
    return join(sentences)


def _against_truth(name: str, true: NDArray[np.int64], said: NDArray[np.float64]) -> Chart:
    axes = Axes("age label, years", "predicted age, years", len(true))
    svg = charts.scatter(true, said, axes, diagonal=True)
    return Chart(
        svg,
        say(
            "{name}: predicted against true age. On the dashed line both are equal; darker is more "
            "faces.",
            name=name,
        ),
    )


def _cumulative(models: list[tuple[str, Node]]) -> Chart:
    series = {}
    for name, model in models:
        rows = [row.value for row in model["subsets"]["all"]["cumulative_score"]]
        years, value, low, high = (
            np.array([_or_nan(row[key]) for row in rows])
            for key in ("years", "value", "low", "high")
        )
        series[name] = Line(years, value, low, high)
    faces = models[0][1]["subsets"]["all"]["faces"].value
    svg = charts.lines(
        series, Axes("k, years", "faces within k years", faces), share=True, markers=True
    )
    return Chart(
        svg,
        Sentence("Cumulative score CS@k: the share of faces whose age is off by k years at most."),
    )


def by_decade(models: list[tuple[str, Node]]) -> list[Chart]:
    """Draw error and bias by the decade of the label."""
    return [
        _lines(models, "age_mae", "age MAE, years", None,
               "Age error by the decade of the label, with 95% intervals."),
        _lines(models, "age_bias", "age bias, years", 0.0,
               "Bias: above the line faces are taken for older, below for younger."),
    ]  # fmt: skip


def _lines(
    models: list[tuple[str, Node]], figure: str, axis: str, reference: float | None, caption: str
) -> Chart:
    series = {}
    for name, model in models:
        rows = [row.value for row in sure_decades(model)]
        middle = [int(row["group"]["decade"].partition("-")[0]) + 5 for row in rows]
        value, low, high = (
            [_or_nan(row["figures"][figure][key]) for row in rows]
            for key in ("value", "low", "high")
        )
        series[name] = Line(middle, value, low, high)
    faces = models[0][1]["subsets"]["all"]["faces"].value
    svg = charts.lines(
        series, Axes("age label, years", axis, faces), markers=True, reference=reference
    )
    return Chart(svg, Sentence(caption))


def decades(name: str, model: Node) -> Table:
    """Give the figures of a model by the decade of the label."""
    rows: list[list[Cell]] = []
    for row in model["by_decade"]:
        figures = row["figures"]
        rows.append(
            [
                word(row["group"]["decade"].value),
                row["faces"].show("count"),
                figures["age_mae"].span("years"),
                figures["age_bias"].span("signed years"),
                figures["age_within_5"].span("share"),
                figures["gender_accuracy"].span("share"),
                figures["interval_coverage"].span("share"),
                figures["interval_width"].span("tenth"),
            ]
        )
    columns = [
        "decade", "faces", "age MAE, years", "bias, years", "CS@5", "gender accuracy",
        "coverage", "width, years",
    ]  # fmt: skip
    note = Sentence("Decades with fewer than 20 faces have no interval; nothing is said of them.")
    return Table(columns, rows, say("{name} by decade", name=name), note, wide=True)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
