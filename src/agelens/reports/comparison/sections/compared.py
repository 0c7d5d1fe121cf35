"""The models against each other: differences, where each is better, what they miss alike."""

from agelens.reports import charts
from agelens.reports.charts import Axes
from agelens.reports.comparison.sections.pair_words import pair_words
from agelens.reports.comparison.sections.terms import (
    FIGURES,
    label_of,
    pairs,
)
from agelens.reports.page import Cell, Chart, Part, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, say, word


def compared(tree: Node) -> Section:
    """Compare every two models."""
    parts: list[Part] = []
    n = tree["comparison"]["faces"].value
    for pair in pairs(tree):
        parts.append(Text(pair_words(pair)))
        parts.append(_differences(pair))
        for figure, axis, form in (
            ("age_mae", "difference of the age MAE, years", False),
            ("gender_accuracy", "difference of the gender accuracy", True),
        ):
            parts.append(_forest(pair, figure, axis, form, n))
        parts.append(_groups(pair))
    if "quality" in tree:
        parts.append(_quality(tree["quality"]))
    else:
        parts.append(
            Text(
                [
                    Sentence(
                        "Picture quality (light, sharpness, detail, pose) is not compared: that "
                        "needs the pictures; give the dataset with --data."
                    )
                ]
            )
        )
    return Section("Comparison", parts)


def _differences(pair: Node) -> Table:
    first, second = pair["first"].value, pair["second"].value
    rows: list[list[Cell]] = []
    for figure, place in pair["figures"].items():
        words, form = FIGURES[figure]
        if form == "share":
            words, form = f"{words}, points", "points"
        form = form if form.startswith("signed") else f"signed {form}"
        rows.append(
            [words, place.span(form), "-" if figure == "interval_width" else _better(place)]
        )
    return Table(
        ["figure", say("{second} minus {first}", first=first, second=second), "better"],
        rows,
        say("{second} against {first}, on the same faces", first=first, second=second),
        Sentence(
            "Paired bootstrap: both models are weighed by the same resamples of the faces. "
            "A narrower interval is not better by itself: it must also hold the label."
        ),
        wide=True,
    )


def _forest(pair: Node, figure: str, axis: str, share: bool, n: int) -> Chart:
    first, second = pair["first"].value, pair["second"].value
    rows = list(pair["by_group"])
    value, low, high = (
        [_or_nan(row["figures"][figure].value[key]) for row in rows]
        for key in ("value", "low", "high")
    )
    svg = charts.forest(
        [label_of(row) for row in rows], value, low, high, Axes(axis, "", n),
        counts=[row["faces"].value for row in rows], reference=0.0, share=share,
    )  # fmt: skip
    side = "left" if figure == "age_mae" else "right"
    return Chart(
        svg,
        say(
            "{second} minus {first}: {side} of the dashed line {second} is better. Simultaneous "
            "95% intervals.",
            second=second,
            first=first,
            side=Sentence(side),
        ),
    )


def _groups(pair: Node) -> Table:
    rows: list[list[Cell]] = []
    for row in pair["by_group"]:
        mae, gender = row["figures"]["age_mae"], row["figures"]["gender_accuracy"]
        rows.append(
            [
                label_of(row),
                row["faces"].show("count"),
                mae.span("signed years"),
                _better(mae),
                gender.span("signed points"),
                _better(gender),
            ]
        )
    return Table(
        ["group", "faces", "age MAE, years", "better", "gender accuracy, points", "better"],
        rows,
        say(
            "Where each is better: {second} minus {first}",
            first=pair["first"].value,
            second=pair["second"].value,
        ),
        Sentence(
            "Simultaneous 95% intervals: all rows of a figure hold together 19 times in 20, so "
            "that a group is not picked out by chance."
        ),
        wide=True,
    )


def _better(place: Node) -> Cell:
    better = place["better"].value
    return word(better) if better else "may be chance"


def _quality(quality: Node) -> Table:
    rows: list[list[Cell]] = [
        [
            label_of(row),
            row["faces"].show("count"),
            row["mean_age"].show("tenth"),
        ]
        for row in quality["parts"]
    ]
    return Table(
        ["group", "faces", "mean age label, years"],
        rows,
        Sentence("How the pictures were parted by quality"),
        Sentence(
            "Quality goes with age and with the light on the skin, so it explains nothing by "
            "itself. Detail is the side in pixels to which the chip can be shrunk without a "
            "visible loss: what is left of the size of the photo it was cut from."
        ),
        wide=True,
    )


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
