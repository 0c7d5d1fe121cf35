"""How the training went: curves of loss and accuracy, and what a hybrid's members bring."""

import numpy as np

from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.comparison.sections.terms import answered, headline
from agelens.reports.page import Cell, Chart, Part, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, join, listed, say, word

CURVES = (
    # key, the axis, shown as a share, what the caption says
    ("mae", "age MAE, years", False, "Age error"),
    ("cs5", "ages within 5 years", True, "Ages within 5 years (CS@5)"),
    ("gender_accuracy", "gender accuracy", True, "Gender accuracy"),
)


def training(tree: Node) -> Section:
    """Draw the curves of every model whose record is at hand."""
    known = [
        (name, model["training"])
        for name, model in tree["models"].items()
        if model["training"].value is not None
    ]
    drawn = [(name, record) for name, record in known if len(record["epochs"])]
    parts: list[Part] = [Text(_words(tree, drawn))]
    parts += [_losses(name, record) for name, record in drawn]
    for key, axis, share, words in CURVES:
        chart = _curves(drawn, key, axis, share, words)
        parts += [] if chart is None else [chart]
    for name, record in known:
        if "ways" in record:
            parts += _ways(name, record)
    return Section("Training", parts)


def _words(tree: Node, drawn: list[tuple[str, Node]]) -> list[Sentence]:
    names = {name for name, _ in drawn}
    said = [_where_it_stood(name, record) for name, record in drawn]
    said += [learnt_words(name, model) for name, model in answered(tree) if model["learnt"].value]
    without = [word(name) for name in tree["models"].value if name not in names]
    if without:
        said.append(
            say("No training history lies beside the evaluation of {names}.", names=listed(without))
        )
    if drawn:
        said.append(
            Sentence(
                "The training loss is measured on augmented pictures, with dropout and smoothed "
                "labels, and on weights that still move; the validation loss on plain pictures and "
                "averaged weights. So the training loss may lie above the validation loss; it is "
                "its course that tells."
            )
        )
    return said + _on_training_faces(drawn)


def _on_training_faces(drawn: list[tuple[str, Node]]) -> list[Sentence]:
    """Say what the curves of accuracy on training faces are of, and whose are not there."""
    without = [
        word(name) for name, record in drawn if _line(record, "train_gender_accuracy") is None
    ]
    said = []
    if len(without) < len(drawn):
        said.append(
            Sentence(
                "Accuracy on training faces is taken while training goes on: of augmented faces, "
                "with dropout, and with weights that still move through the epoch. Plain training "
                "faces would come out better."
            )
        )
    if without:
        said.append(
            say(
                "Accuracy on the training faces was not recorded epoch by epoch for {names}; an "
                "evaluation of a run with --part train, in its run folder, tells how it ended.",
                names=listed(without),
            )
        )
    return said


def learnt_words(name: str, model: Node) -> Sentence:
    """Hold the figures on the training faces against those on the faces measured."""
    learnt = model["learnt"]
    mae, right = headline(model, "age_mae"), headline(model, "gender_accuracy")
    if mae is None or right is None:
        return Sentence("")
    return say(
        "{name}: on the {faces} faces it was trained on it is off by {learnt} years, on these by "
        "{seen}; right in gender for {learnt_right} and {seen_right}.",
        name=name,
        faces=learnt["faces"].show("count"),
        learnt=learnt["figures"]["age_mae"].span("years"),
        seen=mae.span("years"),
        learnt_right=learnt["figures"]["gender_accuracy"].span("share"),
        seen_right=right.span("share"),
    )


def _where_it_stood(name: str, record: Node) -> Sentence:
    if "best_epoch" not in record:
        return say("{name} did {done} epochs.", name=name, done=record["done_epochs"].show("count"))
    best, done = record["best_epoch"], record["done_epochs"]
    start = say(
        "{name}: lowest validation age MAE, {mae} years, after epoch {best} of {done}",
        name=name,
        mae=record["best_validation_mae"].show("years"),
        best=best.show("count"),
        done=done.show("count"),
    )
    gain = record["last_gain"]
    if gain.value is None:
        return say("{start}.", start=start)
    if best.value == done.value:
        return say(
            "{start}; the last epoch still brought {gain} years.",
            start=start,
            gain=gain.show("plain"),
        )
    return say("{start}; the epochs after it brought nothing more.", start=start)


def _losses(name: str, record: Node) -> Chart:
    series = {}
    for key, words in (("train_loss", "training"), ("validation_loss", "validation")):
        line = _line(record, key)
        if line is not None:
            series[words] = line
    svg = charts.lines(series, Axes("epoch", "loss", record["done_epochs"].value, "epochs"),
                       markers=True)  # fmt: skip
    return Chart(svg, say("{name}: loss on training and validation faces.", name=name))


def _curves(
    drawn: list[tuple[str, Node]], key: str, axis: str, share: bool, words: str
) -> Chart | None:
    """Draw a figure of all models, on validation faces and where recorded on training faces."""
    series = {}
    for name, record in drawn:
        for part in ("validation", "train"):
            line = _line(record, f"{part}_{key}")
            if line is not None:
                series[f"{name}, {'training' if part == 'train' else part}"] = line
    if not series:
        return None
    svg = charts.lines(series, Axes("epoch", axis), share=share, markers=True)
    trained = any(name.endswith(", training") for name in series)
    when = "on validation faces after each epoch, on training faces during it"
    when = when if trained else "after each epoch"
    return Chart(svg, Sentence(f"{words} {when}, without flip averaging."))


def _line(record: Node, key: str) -> Line | None:
    rows = [row.value for row in record["epochs"]]
    if not any(key in row for row in rows):
        return None
    return Line(
        [row["epoch"] for row in rows], np.array([row.get(key, np.nan) for row in rows], float)
    )


def _ways(name: str, record: Node) -> list[Part]:
    """Show what a hybrid's members bring, alone and together, on validation faces."""
    gap = _gap(name, record)
    rows: list[list[Cell]] = []
    for way in record["ways"]:
        members = [word(str(member)) for member in way["members"].value]
        rows.append(
            [
                join(members, " + "),
                Sentence(way["how"].value if len(members) > 1 else ""),
                *(
                    way[key].show(form) if key in way else Sentence("-")
                    for key, form in (
                        ("validation_mae", "plain"),
                        ("validation_cs5", "share"),
                        ("validation_gender_accuracy", "share"),
                        ("validation_gender_ece", "plain"),
                    )
                ),
            ]
        )
    table = Table(
        ["members", "how joined", "age MAE, years", "CS@5", "gender accuracy", "gender ECE"],
        rows,
        say("{name}: what each member brings, on validation faces", name=name),
        Sentence(
            "Each way is fitted on half of the validation faces and judged on the other half, both "
            "ways round."
        ),
        wide=True,
    )
    return [table] if gap is None else [Text([gap]), table]


def _gap(name: str, record: Node) -> Sentence | None:
    """Hold a hybrid against its best member alone, on validation faces."""
    if "against_best_member" not in record:
        return None
    against = record["against_best_member"]
    gap = against["mae_difference"]
    verdict = "lower" if gap.figure.high < 0 else "higher" if gap.figure.low > 0 else None
    text = (
        "{name} on validation faces: its age error is {verdict} than that of its best member "
        "alone, {member}, by {gap}."
        if verdict
        else "{name} on validation faces: its age error does not differ beyond chance from that of "
        "its best member alone, {member} ({gap})."
    )
    return say(
        text,
        name=name,
        verdict=Sentence(verdict or ""),
        member=str(against["member"].value),
        gap=gap.span("plain", size=True, unit=" years")
        if verdict
        else gap.span("signed plain", unit=" years"),
    )
