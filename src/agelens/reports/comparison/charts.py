"""The charts of reports and model cards, from the tree of figures."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation.saliency import STEPS, Target
from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.comparison import facts
from agelens.reports.comparison.facts import PROMISE, Named, headline
from agelens.reports.numbers import Node

AXES = {
    "age_mae": "age MAE, years", "age_bias": "age bias, years",
    "gender_accuracy": "gender accuracy", "interval_coverage": "labels inside the 90% interval",
}  # fmt: skip
CURVES = {
    "mae": "age MAE, years", "cs5": "ages within 5 years", "gender_accuracy": "gender accuracy"
}  # fmt: skip


class Drawn:
    """The charts of this module, each drawn once: a page is rendered in two forms."""

    def __getattr__(self, name: str) -> Callable[..., str]:
        draw: Callable[..., str] = functools.cache(globals()[name])
        setattr(self, name, draw)
        return draw


def by_age(
    models: tuple[Named, ...], figure: str, *, wide: bool = False, count: bool = True
) -> str:
    """Draw a figure of every model by the decade of the label."""
    series = {}
    for name, model in models:
        rows = facts.decades(model)
        middle = [int(str(row["group"]["decade"]).partition("-")[0]) + 5 for row in rows]
        series[name] = _line(middle, [row["figures"][figure] for row in rows])
    axes = Axes("age label, years", AXES[figure], _faces(models[0][1]) if count else None)
    reference = 0.0 if figure == "age_bias" else None
    return charts.lines(series, axes, markers=True, reference=reference, wide=wide)


def predicted_against_true(
    name: str, ages: Callable[[str], tuple[NDArray[np.int64], NDArray[np.float64]]]
) -> str:
    """Draw every face of a model: its predicted age over its label, (N,) each."""
    true, predicted = ages(name)
    axes = Axes("age label, years", "predicted age, years", len(true))
    return charts.scatter(true, predicted, axes, diagonal=True)


def cumulative_score(models: tuple[Named, ...]) -> str:
    """Draw the share of faces whose age is off by at most k years."""
    series = {}
    for name, model in models:
        rows = list(model["subsets"]["all"]["cumulative_score"])
        series[name] = _line([row["years"].value for row in rows], rows)
    axes = Axes("k, years", "faces within k years", _faces(models[0][1]))
    return charts.lines(series, axes, share=True, markers=True)


def groups(model: Node, figure: str) -> str:
    """Draw a figure of every group of a model; dashed: all faces."""
    everyone = headline(model, figure)
    reference = None if everyone is None else everyone.figure.value
    axes = Axes(AXES[figure], "", _faces(model))
    return _forest(dict(facts.single_groups(model)), figure, axes, reference)


def group_differences(tree: Node, pair: Node, figure: str) -> str:
    """Draw the difference between two models in every group of faces."""
    rows = {facts.label(str(row["by"]), str(row["group"])): row for row in pair["by_group"]}
    words = f"{pair['second']} minus {pair['first']}: {AXES[figure]}"
    return _forest(rows, figure, Axes(words, "", tree["comparison"]["faces"].value), 0.0)


def coverage(model: Node) -> str:
    """Draw the coverage of the 90% interval by the decade of the label."""
    rows = {str(row["group"]["decade"]): row for row in facts.decades(model)}
    faces = sum(row["faces"].value for row in rows.values())
    axes = Axes(AXES["interval_coverage"], "", faces)
    return _forest(rows, "interval_coverage", axes, PROMISE)


def confusion(model: Node, kind: str) -> str:
    """Draw a confusion matrix as shares of each label."""
    matrix = model["confusion"][kind].value
    word = "gender" if kind == "gender" else "age group"
    return charts.heat(
        matrix["shares"], matrix["names"], matrix["names"],
        Axes(f"predicted {word}", f"{word} label", _faces(model)),
        unit="share of the label's faces", form="{:.0%}",
    )  # fmt: skip


def gender_reliability(model: Node) -> str:
    """Draw how often the faces given a probability of "female" are labelled so."""
    bins = model["reliability"]["gender"]["bins"].value
    axes = Axes('predicted probability of "female"', 'labelled "female"', sum(bins["faces"]))
    return charts.reliability(bins["said"], bins["seen"], bins["faces"], axes)


def interval_reliability(models: tuple[Named, ...]) -> str:
    """Draw the coverage of central intervals of every mass."""
    series = {"perfect": Line([0, 100], [0, 1])}
    for name, model in models:
        rows = list(model["reliability"]["age"]["coverage"])
        series[name] = _line([100 * row["said"].value for row in rows], rows)
    axes = Axes("mass of the central interval, %", "labels inside", _faces(models[0][1]))
    return charts.lines(series, axes, share=True)


def surest(models: tuple[Named, ...]) -> str:
    """Draw the age error of the faces that each model is surest of."""
    series = {}
    for name, model in models:
        rows = list(model["reliability"]["doubt"]["surest"])
        places = [100 * row["share"].value for row in rows]
        series[name] = _line(places, [row["age_mae"] for row in rows])
    axes = Axes("faces kept, the surest first, %", "age MAE, years", _faces(models[0][1]))
    return charts.lines(series, axes, markers=True)


def losses(record: Node) -> str:
    """Draw the training and the validation loss of every epoch."""
    axes = Axes("epoch", "loss", record["done_epochs"].value, "epochs")
    return charts.lines(_curves(record, "loss", ("training", "validation")), axes, markers=True)


def learning_curves(records: tuple[Named, ...], key: str) -> str:
    """Draw a figure of every model by epoch, on validation and on training faces.

    Returns "" where no model has recorded it.
    """
    series = {
        f"{name}, {part}": line
        for name, record in records
        for part, line in _curves(record, key, ("validation", "training")).items()
    }
    if not series:
        return ""
    return charts.lines(series, Axes("epoch", CURVES[key]), share=key != "mae", markers=True)


def deletion(found: Node, target: Target) -> str:
    """Draw how far the answer moves as more of the picture is covered, in every order."""
    share = np.linspace(0, 100, STEPS + 1)
    series = {order: _line(share, list(points)) for order, points in found["curves"].items()}
    axis = "shift of the age, years" if target == "age" else "shift of the probability"
    axes = Axes("picture covered, %", axis, found["faces"].value)
    return charts.lines(series, axes, share=target == "gender")


def _forest(rows: dict[str, Node], figure: str, axes: Axes, reference: float | None) -> str:
    value, low, high = _columns([row["figures"][figure] for row in rows.values()])
    counts = [row["faces"].value for row in rows.values()]
    share = figure in ("gender_accuracy", "interval_coverage")
    return charts.forest(
        list(rows), value, low, high, axes, counts=counts, reference=reference, share=share
    )


def _line(x: Any, figures: Sequence[Node]) -> Line:
    return Line(x, *_columns(figures))


def _columns(figures: Sequence[Node]) -> list[NDArray[np.float64]]:
    ends = ("value", "low", "high")
    return [np.array([one.value[end] for one in figures], np.float64) for end in ends]


def _curves(record: Node, key: str, parts: tuple[str, ...]) -> dict[str, Line]:
    rows = [row.value for row in record["epochs"]]
    named = {part: f"{part.replace('ing', '')}_{key}" for part in parts}
    return {
        part: Line([r["epoch"] for r in rows], np.array([r.get(column, np.nan) for r in rows]))
        for part, column in named.items()
        if facts.has_curve(record, column)
    }


def _faces(model: Node) -> int:
    return int(model["subsets"]["all"]["faces"].value)
