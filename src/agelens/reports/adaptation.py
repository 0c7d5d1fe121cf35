"""Adapt a model to a user's labelled faces: the function behind `agelens adapt`.

Beside the model file, MINE.onnx, stands MINE.svg: the error by age before and after.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agelens import provenance
from agelens.evaluation import evaluate
from agelens.evaluation.adaptation.album import predict_album, read_album
from agelens.evaluation.adaptation.selection import WHEN, Selection, select
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
ENDS = ("value", "low", "high")
CARD_FIGURES = ("age_mae", "age_bias", "interval_coverage", "interval_width", "gender_accuracy")


def adapt(
    model_name: str | None, data: Path, file: Path, *, flip: bool | None = None, seed: int = 0,
    threads: int | None = None, progress: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[Node, list[tuple[str, str]]]:  # fmt: skip
    """Adapt a model to the labelled faces of a folder, and write the new model file and a chart.

    Returns the figures of `selection.select` with `people_named`, and file and reason of pictures
    that were left out. Raises SourceError, DatasetError for labels that cannot be read and too few
    faces or people, ModelError for no model.
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
    with replacing(file.with_suffix(".svg")) as stream:
        stream.write(standalone(draw_errors(found)))
    about = card_entry(model, data, selection)
    onnx_graph.write(model, file, selection.adaptation, about, seen.chips, threads)
    return Node(found), seen.rejects


def card_entry(model: Model, data: Path, selection: Selection) -> dict[str, Any]:
    """Return what the card of an adapted model says of it."""
    found = selection.found
    own = found["figures"]
    entry = {
        "of": evaluate.describe_model(model, "")["sha256"], "on": data.resolve().name,
        "faces": found["faces"], "people": found["people"], "date": provenance.now(),
        "seed": found["seed"], "parts": found["parts"],
    }  # fmt: skip
    if selection.kept:
        entry["figures"] = {name: {when: own[name][when]["value"] for when in ("before", "after")}
                            for name in CARD_FIGURES}  # fmt: skip
        entry |= {name: found[name] for name in ("age_map", "gender_line", "levels")}
    return entry


def before_and_after(found: Node) -> list[tuple[str, str, str, str]]:
    """Return figures before and after an adaptation, and the difference, as plain text.

    Figures without labels, and those of the gender where it stays as it was, are left out.
    """
    rows, figures = [], found["figures"]
    same_gender = not figures["gender_log_loss"]["difference"]["value"].value
    for key, name, form, gap in FIGURES:
        own = figures[key]
        if own["before"]["value"].value is None or (same_gender and key.startswith("gender_")):
            continue
        forms = {"before": form, "after": form, "difference": gap}
        before, after, gap = (untagged(traced_interval(own[of], forms[of])) for of in forms)
        rows.append((name, before, after, gap))
    return rows


def draw_errors(found: dict[str, Any]) -> str:
    """Draw the mean absolute error by age before and after, or without ages the gender accuracy."""
    axes, when = Axes("age label, years", "mean absolute error, years", found["faces"]), WHEN[:2]
    if svg := draw_by_age(found["by_age"], when, "age_mae", axes):
        return svg
    own = found["figures"]["gender_accuracy"]
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
    series = {
        name: Line(middle, *([row[name][figure][end] for row in rows] for end in ENDS))
        for name in when
    }
    return charts.lines(series, axes, markers=True, **style)
