"""The charts of reports and model cards, from the tree of figures."""

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

Ages = Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
"""True and predicted ages, (N,) each, by model."""

AXES = {
    "age_mae": "age MAE, years", "age_bias": "age bias, years",
    "gender_accuracy": "gender accuracy", "interval_coverage": "labels inside the 90% interval",
}  # fmt: skip
REFERENCES = {"age_bias": 0.0, "interval_coverage": PROMISE}
"""Figures with a value that they should have."""
CURVES = {
    "mae": "age MAE, years", "cs5": "ages within 5 years", "gender_accuracy": "gender accuracy"
}  # fmt: skip


class Drawn:
    """The charts of this module, each drawn once: a page is rendered in two forms."""

    def __init__(self) -> None:
        self._svg: dict[Any, str] = {}

    def __getattr__(self, name: str) -> Callable[..., str]:
        def draw(*values: Any, **options: Any) -> str:
            key = (name, _key(values), _key(options))
            if key not in self._svg:
                self._svg[key] = globals()[name](*values, **options)
            return self._svg[key]

        return draw


def _key(value: Any) -> Any:
    """Return what tells arguments of one report apart: of a node its path, of arrays no more."""
    if isinstance(value, Node):
        return value.path
    if isinstance(value, dict):
        return tuple((name, _key(one)) for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(_key, value))
    return value if isinstance(value, (str, bool)) else None


def by_age(models: Sequence[Named], figure: str, *, wide: bool = False, count: bool = True) -> str:
    """Draw a figure of every model by the decade of the label."""
    series = {}
    for name, model in models:
        rows = facts.decades(model)
        middle = [int(str(row["group"]["decade"]).partition("-")[0]) + 5 for row in rows]
        series[name] = _line(middle, [row["figures"][figure] for row in rows])
    axes = Axes("age label, years", AXES[figure], _faces(models[0][1]) if count else None)
    return charts.lines(
        series, axes, markers=True, reference=REFERENCES.get(figure), wide=wide,
        share=figure == "interval_coverage",
    )  # fmt: skip


def predicted_against_true(name: str, ages: Ages) -> str:
    """Draw every face of a model: its predicted age over its label."""
    true, predicted = ages[name]
    axes = Axes("age label, years", "predicted age, years", len(true))
    return charts.scatter(true, predicted, axes, diagonal=True)


def cumulative_score(models: Sequence[Named]) -> str:
    """Draw the share of faces whose age is off by at most k years."""
    series = {}
    for name, model in models:
        rows = list(model["subsets"]["all"]["cumulative_score"])
        series[name] = _line([row["years"].value for row in rows], rows)
    axes = Axes("k, years", "faces within k years", _faces(models[0][1]))
    return charts.lines(series, axes, share=True, markers=True)


def groups(model: Node, figure: str) -> str:
    """Draw a figure of every group of a model; dashed: all faces."""
    rows = facts.single_groups(model)
    everyone = headline(model, figure)
    return _forest(
        [facts.label(by, str(group["group"][by])) for by, group in rows],
        [group["figures"][figure] for _, group in rows],
        Axes(AXES[figure], "", _faces(model)),
        [group["faces"].value for _, group in rows],
        reference=None if everyone is None else everyone.figure.value,
        share=figure == "gender_accuracy",
    )


def group_differences(tree: Node, pair: Node, figure: str) -> str:
    """Draw the difference between two models in every group of faces."""
    rows = list(pair["by_group"])
    return _forest(
        [facts.label(str(row["by"]), str(row["group"])) for row in rows],
        [row["figures"][figure] for row in rows],
        Axes(f"{pair['second']} minus {pair['first']}: {AXES[figure]}", "",
             tree["comparison"]["faces"].value),
        [row["faces"].value for row in rows],
        reference=0.0,
        share=figure == "gender_accuracy",
    )  # fmt: skip


def coverage(model: Node) -> str:
    """Draw the coverage of the 90% interval by the decade of the label."""
    rows = facts.decades(model)
    counts = [row["faces"].value for row in rows]
    return _forest(
        [str(row["group"]["decade"]) for row in rows],
        [row["figures"]["interval_coverage"] for row in rows],
        Axes("labels inside the 90% interval", "", sum(counts)),
        counts,
        reference=PROMISE,
        share=True,
    )


def confusion(model: Node, kind: str) -> str:
    """Draw a confusion matrix as shares of each label."""
    matrix = model["confusion"][kind].value
    shares = np.array([[np.nan if one is None else one for one in row] for row in matrix["shares"]])
    word = "gender" if kind == "gender" else "age group"
    return charts.heat(
        shares.astype(float), matrix["names"], matrix["names"],
        Axes(f"predicted {word}", f"{word} label", _faces(model)),
        unit="share of the label's faces", form="{:.0%}",
    )  # fmt: skip


def gender_reliability(model: Node) -> str:
    """Draw how often the faces given a probability of "female" are labelled so."""
    bins = model["reliability"]["gender"]["bins"].value
    predicted, seen = ([_or_nan(v) for v in bins[key]] for key in ("said", "seen"))
    axes = Axes('predicted probability of "female"', 'labelled "female"', sum(bins["faces"]))
    return charts.reliability(predicted, seen, bins["faces"], axes)


def interval_reliability(models: Sequence[Named]) -> str:
    """Draw the coverage of central intervals of every mass."""
    series = {"perfect": Line([0, 100], [0, 1])}
    for name, model in models:
        rows = list(model["reliability"]["age"]["coverage"])
        series[name] = _line([100 * row["said"].value for row in rows], rows)
    axes = Axes("mass of the central interval, %", "labels inside", _faces(models[0][1]))
    return charts.lines(series, axes, share=True)


def surest(models: Sequence[Named]) -> str:
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
    series = {
        part: line
        for part in ("training", "validation")
        if (line := _curve(record, f"{part.replace('ing', '')}_loss")) is not None
    }
    axes = Axes("epoch", "loss", record["done_epochs"].value, "epochs")
    return charts.lines(series, axes, markers=True)


def learning_curves(records: Sequence[Named], key: str) -> str:
    """Draw a figure of every model by epoch, on validation and on training faces.

    Returns "" where no model has recorded it.
    """
    series = {}
    for name, record in records:
        for part in ("validation", "training"):
            line = _curve(record, f"{part.replace('ing', '')}_{key}")
            if line is not None:
                series[f"{name}, {part}"] = line
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


def _forest(
    labels: Sequence[str], figures: Sequence[Node], axes: Axes, counts: Sequence[int], **more: Any
) -> str:
    value, low, high = _columns(figures)
    return charts.forest(labels, value, low, high, axes, counts=counts, **more)


def _line(x: Any, figures: Sequence[Node]) -> Line:
    return Line(x, *_columns(figures))


def _columns(figures: Sequence[Node]) -> list[list[float]]:
    return [[_or_nan(one.value[key]) for one in figures] for key in ("value", "low", "high")]


def _curve(record: Node, key: str) -> Line | None:
    if not facts.has_curve(record, key):
        return None
    rows = [row.value for row in record["epochs"]]
    return Line([row["epoch"] for row in rows], np.array([row.get(key, np.nan) for row in rows]))


def _faces(model: Node) -> int:
    return int(model["subsets"]["all"]["faces"].value)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
