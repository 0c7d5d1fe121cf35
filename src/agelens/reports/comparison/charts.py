"""The charts of reports and model cards, from the tree of figures."""

import functools
from collections.abc import Callable, Mapping, Sequence
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
    "mae": "age MAE, years", "cs5": "ages within 5 years",  # by epoch
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
    return _lines(
        models, ("age label, years", AXES[figure]),
        lambda model: {
            int(str(row["group"]["decade"]).partition("-")[0]) + 5: row["figures"][figure]
            for row in facts.decades(model)
        },
        count=count, wide=wide, markers=True, reference=0.0 if figure == "age_bias" else None,
    )  # fmt: skip


def predicted_against_true(
    name: str, ages: Callable[[str], tuple[NDArray[np.int64], NDArray[np.float64]]]
) -> str:
    """Draw every face of a model: its predicted age over its label, (N,) each."""
    true, predicted = ages(name)
    axes = Axes("age label, years", "predicted age, years", len(true))
    return charts.scatter(true, predicted, axes)


def cumulative_score(models: tuple[Named, ...]) -> str:
    """Draw the share of faces whose age is off by at most k years."""
    return _lines(
        models, ("k, years", "faces within k years"),
        lambda model: {r["years"].value: r for r in model["subsets"]["all"]["cumulative_score"]},
        share=True, markers=True,
    )  # fmt: skip


def interval_reliability(models: tuple[Named, ...]) -> str:
    """Draw the coverage of central intervals of every mass."""
    return _lines(
        models, ("mass of the central interval, %", "labels inside"),
        lambda model: {100 * r["said"].value: r for r in model["reliability"]["age"]["coverage"]},
        {"perfect": Line([0, 100], [0, 1])}, share=True,
    )  # fmt: skip


def surest(models: tuple[Named, ...]) -> str:
    """Draw the age error of the faces that each model is surest of."""
    return _lines(
        models, ("faces kept, the surest first, %", AXES["age_mae"]),
        lambda model: {
            100 * row["share"].value: row["age_mae"]
            for row in model["reliability"]["doubt"]["surest"]
        },
        markers=True,
    )  # fmt: skip


def groups(model: Node, figure: str) -> str:
    """Draw a figure of every group of a model; dashed: all faces."""
    everyone, axes = headline(model, figure), Axes(AXES[figure], "", _faces(model))
    reference = everyone.figure.value if everyone else None
    return _forest(dict(facts.single_groups(model)), figure, axes, reference)


def group_differences(tree: Node, pair: Node, figure: str) -> str:
    """Draw the difference between two models in every group of faces."""
    rows = {facts.label(str(row["by"]), str(row["group"])): row for row in pair["by_group"]}
    words = f"{pair['second']} minus {pair['first']}: {AXES[figure]}"
    return _forest(rows, figure, Axes(words, "", tree["comparison"]["faces"].value), 0.0)


def coverage(model: Node) -> str:
    """Draw the coverage of the 90% interval by the decade of the label."""
    rows = {str(row["group"]["decade"]): row for row in facts.decades(model)}
    axes = Axes(AXES["interval_coverage"], "", sum(row["faces"].value for row in rows.values()))
    return _forest(rows, "interval_coverage", axes, PROMISE)


def confusion(model: Node, kind: str) -> str:
    """Draw a confusion matrix as shares of each label."""
    shares, names = (model["confusion"][kind][key].value for key in ("shares", "names"))
    word = "gender" if kind == "gender" else "age group"
    axes = Axes(f"predicted {word}", f"{word} label", _faces(model))
    unit = "share of the label's faces"
    return charts.heat(shares, names, names, axes, unit=unit, form="{:.0%}")


def gender_reliability(model: Node) -> str:
    """Draw how often the faces given a probability of "female" are labelled so."""
    bins = model["reliability"]["gender"]["bins"].value
    axes = Axes('predicted probability of "female"', 'labelled "female"', sum(bins["faces"]))
    return charts.reliability(bins["said"], bins["seen"], bins["faces"], axes)


def losses(record: Node) -> str:
    """Draw the training and the validation loss of every epoch."""
    axes = Axes("epoch", "loss", record["done_epochs"].value, "epochs")
    return charts.lines(_curves(record, "loss", ("training", "validation")), axes, markers=True)


def learning_curves(records: tuple[Named, ...], key: str) -> str:
    """Draw a figure of every model by epoch, on validation and training faces; "" without any."""
    series = {
        f"{name}, {part}": line
        for name, record in records
        for part, line in _curves(record, key, ("validation", "training")).items()
    }
    if not series:
        return ""
    return charts.lines(series, Axes("epoch", AXES[key]), share=key != "mae", markers=True)


def deletion(found: Node, target: Target) -> str:
    """Draw how far the answer moves as more of the picture is covered, in every order."""
    share = np.linspace(0, 100, STEPS + 1)
    series = {key: Line(share, *_columns(list(points))) for key, points in found["curves"].items()}
    axis = "shift of the age, years" if target == "age" else "shift of the probability"
    axes = Axes("picture covered, %", axis, found["faces"].value)
    return charts.lines(series, axes, share=target == "gender")


def _forest(rows: dict[str, Node], figure: str, axes: Axes, reference: float | None) -> str:
    value, low, high = _columns([row["figures"][figure] for row in rows.values()])
    counts = [row["faces"].value for row in rows.values()]
    share = figure in ("gender_accuracy", "interval_coverage")
    words = list(rows)
    return charts.forest(words, value, low, high, axes, counts, reference=reference, share=share)


def _lines(
    models: tuple[Named, ...], words: tuple[str, str], points: Callable[[Node], dict[float, Node]],
    also: Mapping[str, Line] = {}, *, count: bool = True, **style: Any,
) -> str:  # fmt: skip
    series = dict(also)
    for name, model in models:
        found = points(model)
        series[name] = Line(list(found), *_columns(list(found.values())))
    return charts.lines(series, Axes(*words, _faces(models[0][1]) if count else None), **style)


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
