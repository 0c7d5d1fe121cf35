"""The recalibration in words: how it was fitted, before and after, and whether it is better."""

from agelens.evaluation.calibration import COVERAGE
from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.page import Cell, Chart, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, listed, say, word

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
TOGETHER = {
    "folds": "Whole folds went to either half, so that no photo stands in both.",
    "people": "All pictures of a person, and all copies of a photo, went to one half.",
    "photos": "All copies of a photo went to one half.",
}
UNTOLD = "Who is shown the dataset does not tell, so a person may stand in both."


def better(found: Node) -> Sentence:
    """Say whether the recalibrated model is better on the half that it was not fitted on."""
    figures = found["figures"]
    gains = [Sentence(str(what.value)) for what in found["better"]]
    losses = [Sentence(str(what.value)) for what in found["worse"]]
    tail = say(
        "coverage {before} before, {after} after; ECE of the gender {ece} before, {new_ece} after",
        before=figures["interval_coverage"]["before"].point("share"),
        after=figures["interval_coverage"]["after"].point("share"),
        ece=figures["gender_ece"]["before"].point("plain"),
        new_ece=figures["gender_ece"]["after"].point("plain"),
    )
    if not gains:
        text = (
            "Recalibrated on one half of the faces the model is worse on the other in {losses}: "
            "{tail}. It was not kept."
            if losses
            else "Recalibrated on one half of the faces the model is no better on the other beyond "
            "chance: {tail}. It was not kept."
        )
        return say(text, losses=listed(losses), tail=tail)
    losses += [word(f"the intervals at ages {band.value}") for band in found["worse_at"]]
    but = say(", but worse in {losses}", losses=listed(losses)) if losses else Sentence("")
    return say(
        "Recalibrated on one half of the faces the model is better on the other in {gains}{but}: "
        "{tail}.",
        gains=listed(gains),
        but=but,
        tail=tail,
    )


def recalibration(found: Node) -> Section:
    """Show how it was fitted, and before and after on the other half."""
    scaling = found["scaling"]
    text = [
        say(
            "Fitted on {fit} of the faces, judged on the {check} others. {together}",
            fit=found["fitted_on"].show("count"),
            check=found["faces"].show("count"),
            together=Sentence(
                TOGETHER[found["together"].value]
                + ("" if found["people_told"].value else f" {UNTOLD}")
            ),
        ),
        say(
            "What was fitted: a temperature of the age distribution (its logits times {age}), a "
            "line for the gender (its logit times {gender}, and {bias} added), and the levels of "
            "the 90% interval at each age.",
            age=scaling["age"].show("plain"),
            gender=scaling["gender"].show("plain"),
            bias=scaling["bias"].show("signed plain"),
        ),
        better(found),
    ]
    return Section("Recalibrated", [Text(text), _figures(found), _coverage(found), _bands(found)])


def rows(found: Node) -> list[list[Cell]]:
    """Give every figure before, after, and the difference, as cells of a table."""
    return [
        [name, place["before"].span(form), place["after"].span(form), place["difference"].span(gap)]
        for name, form, gap, place in (
            (name, form, gap, found["figures"][key]) for key, name, form, gap in FIGURES
        )
    ]


def _figures(found: Node) -> Table:
    note = Sentence(
        "Of the same faces, drawn together (the paired bootstrap); differences of shares in "
        "points. A log loss is better or worse where the interval of its difference excludes zero; "
        "intervals are better where the coverage failed before, came nearer by more than chance, "
        "and did not go too far, at no cost in the interval score: the width, and 20 years for "
        "each year by which a label lies outside."
    )
    caption = say(
        "Before and after, on the {faces} faces that it was not fitted on",
        faces=found["faces"].show("count"),
    )
    return Table(["", "before", "after", "difference"], rows(found), caption, note, wide=True)


def _coverage(found: Node) -> Chart:
    sure = [r for r in found["by_age"] if r["before"]["interval_coverage"].value["low"] is not None]
    middle = [_middle(row["age"].value) for row in sure]
    series = {}
    for when in ("before", "after"):
        ends = [row[when]["interval_coverage"].value for row in sure]
        value, low, high = ([end[key] for end in ends] for key in ("value", "low", "high"))
        series[when] = Line(middle, value, low, high)
    axes = Axes("age label, years", "labels inside the 90% interval", found["faces"].value)
    svg = charts.lines(series, axes, share=True, markers=True, reference=COVERAGE)
    return Chart(
        svg,
        Sentence(
            "Coverage by age band, on the faces that it was not fitted on; the thin line is what "
            "the interval promises."
        ),
    )


def _middle(band: str) -> float:
    first, _, last = band.rstrip("+").partition("-")
    return (int(first) + int(last)) / 2 if last else float(first) + 10


def _bands(found: Node) -> Table:
    cells: list[list[Cell]] = [
        [
            word(row["age"].value),
            row["faces"].show("count"),
            *(
                row[when][figure].span(form)
                for figure, form in (("interval_coverage", "share"), ("interval_width", "tenth"))
                for when in ("before", "after")
            ),
        ]
        for row in found["by_age"]
    ]
    columns = [
        "ages", "faces", "coverage before", "coverage after", "width before, years",
        "width after, years",
    ]  # fmt: skip
    note = Sentence("Bands with fewer than 20 faces have no interval; nothing is said of them.")
    return Table(columns, cells, "Before and after by age", note, wide=True)
