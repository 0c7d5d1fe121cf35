"""Adapt a model to a user's labelled faces: the function behind `agelens adapt`.

Beside the model file, MINE.onnx, stands MINE.svg: the error by age before and after.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agelens import provenance
from agelens.evaluation import evaluate
from agelens.evaluation.adaptation.album import predict_album, read_album
from agelens.evaluation.adaptation.selection import Selection, select
from agelens.inference.runtime import Model
from agelens.output.tables import replacing
from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.charts.canvas import standalone
from agelens.reports.numbers import Node, traced_interval, untagged

FIGURES = (
    # figure, its name, form of the value, form of the difference
    ("interval_coverage", "coverage of the 90% interval", "share", "signed points"),
    ("interval_width", "mean width of the interval, years", "tenth", "signed tenth"),
    ("interval_score", "interval score, years", "tenth", "signed tenth"),
    ("age_log_loss", "age log loss, nats", "plain", "signed plain"),
    ("age_mae", "age MAE, years", "years", "signed years"),
    ("age_bias", "age bias, years", "signed years", "signed years"),
    ("gender_accuracy", "gender accuracy", "share", "signed points"),
    ("gender_ece", "gender ECE", "plain", "signed plain"),
    ("gender_log_loss", "gender log loss, nats", "plain", "signed plain"),
    ("gender_brier", "gender Brier score", "plain", "signed plain"),
)
CARD_FIGURES = ("age_mae", "age_bias", "interval_coverage", "interval_width", "gender_accuracy")


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """The result of an adaptation."""

    found: Node  # the figures, as `selection.select` gives them, and `people_named`
    rejects: list[tuple[str, str]]  # pictures that were left out: file and reason
    file: Path
    chart: Path


def adapt(
    model_name: str | None, data: Path, file: Path, *, flip: bool | None = None, seed: int = 0,
    threads: int | None = None, progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Adapted:  # fmt: skip
    """Adapt a model to the labelled faces of a folder, and write the new model file and a chart.

    Raises SourceError, DatasetError for labels that cannot be read and too few faces or people,
    ModelError for no model.
    """
    # It needs onnx, and reading this module does not.
    from agelens.evaluation.adaptation import onnx_graph

    album = read_album(data)
    model = Model(model_name, threads)
    seen = predict_album(
        model, album, evaluate.uses_flip(model, flip), threads,
        lambda done: progress("predicting faces", done, len(album)),
    )  # fmt: skip
    progress("cross-validating", 0, 0)
    selection = select(seen.outputs, model.interval_levels(), seed)
    found = selection.found | {"people_named": seen.people_named}
    chart = file.with_suffix(".svg")
    with replacing(chart) as stream:
        stream.write(standalone(draw_errors(found)))
    about = card_entry(model, data, selection)
    onnx_graph.write(model, file, selection.adaptation, about, seen.chips, threads)
    return Adapted(Node(found), seen.rejects, file, chart)


def card_entry(model: Model, data: Path, selection: Selection) -> dict[str, Any]:
    """Return what the card of an adapted model says of it."""
    found = selection.found
    own = found["figures"]
    figures = {name: {when: own[name][when]["value"] for when in ("before", "after")}
               for name in CARD_FIGURES}  # fmt: skip
    fitted = {name: found[name] for name in ("age_map", "gender_line", "levels")}
    return {
        "of": evaluate.describe_model(model, "")["sha256"],
        "on": data.resolve().name,
        "faces": found["faces"],
        "people": found["people"],
        "date": provenance.now(),
        "seed": found["seed"],
        "parts": found["parts"],
        **({"figures": figures, **fitted} if selection.kept else {}),
    }


def before_and_after(found: Node) -> list[tuple[str, str, str, str]]:
    """Return every figure before and after an adaptation, and the difference, as plain text."""
    rows = []
    for key, name, form, gap in FIGURES:
        own = found["figures"][key]
        if own["before"]["value"].value is not None:
            forms = {"before": form, "after": form, "difference": gap}
            before, after, gap = (untagged(traced_interval(own[of], forms[of])) for of in forms)
            rows.append((name, before, after, gap))
    return rows


def draw_errors(found: dict[str, Any]) -> str:
    """Draw the mean absolute error by age before and after, or without ages the gender accuracy."""
    axes = Axes("age label, years", "mean absolute error, years", found["faces"])
    if svg := draw_by_age(found["by_age"], ("before", "after"), "age_mae", axes):
        return svg
    own, when = found["figures"]["gender_accuracy"], ("before", "after")
    shares = {one: [own[one]["value"] or 0.0] for one in when}
    return charts.bars(["gender accuracy"], shares, Axes("", "", found["faces"]), share=True)


def draw_by_age(
    rows: list[dict[str, Any]], when: tuple[str, ...], figure: str, axes: Axes, **style: Any
) -> str:
    """Draw a figure by age band with its intervals, one line for each of `when`.

    Returns "" where no band has enough faces.
    """
    rows = [row for row in rows if row[when[0]][figure]["low"] is not None]
    if not rows:
        return ""
    ends = [row["age"].rstrip("+").split("-") for row in rows]
    middle = [(int(low) + int(*high)) / 2 if high else float(low) + 10 for low, *high in ends]
    series = {}
    for name in when:
        own = [row[name][figure] for row in rows]
        series[name] = Line(
            middle, *([one[end] for one in own] for end in ("value", "low", "high"))
        )
    return charts.lines(series, axes, markers=True, **style)
