"""Whom a model serves better and whom worse: gender, race label, age band, their crossings."""

from agelens.reports import charts
from agelens.reports.charts import Axes
from agelens.reports.comparison.sections.terms import BY, answered, headline
from agelens.reports.page import Cell, Chart, Part, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, say, word

SHOWN_CROSSINGS = 8


def by_group(tree: Node) -> Section:
    """Draw the groups as forest plots, with their gaps, and say which are more than chance."""
    models = answered(tree)
    parts: list[Part] = [
        Text(
            [
                *(text for name, model in models for text in group_words(name, model)),
                Sentence(
                    "Labels of race are the dataset's and are read for this section only; no model "
                    "predicts them. Groups differ in age, which decides how hard a face is; so "
                    "gaps are also given at equal ages, as if every group had the ages of all "
                    "faces."
                ),
            ]
        )
    ]
    for name, model in models:
        parts += [*forests(name, model), groups(name, model)]
        equal = at_equal_ages(name, model)
        parts += [] if equal is None else [equal]
        crossed = _crossings(name, model)
        parts += [] if crossed is None else [crossed]
    return Section("Groups", parts)


def group_words(name: str, model: Node) -> list[Sentence]:
    """Say which groups differ by more than chance, and whether that is more than their ages."""
    found = []
    for breakdown in model["by_group"]:
        if breakdown["by"].value in (["gender"], ["race"]):
            for figure in GAPS:
                found += _gap_words(name, model, breakdown, figure)
    return found


GAPS = {
    # figure: what it is called, form and unit of it, form and unit of a difference
    "age_mae": ("age error", "years", " years", "years", " years"),
    "gender_accuracy": ("gender accuracy", "share", "", "points", " points"),
}


def _gap_words(name: str, model: Node, breakdown: Node, figure: str) -> list[Sentence]:
    by = breakdown["by"].value[0]
    words, form, unit, gap_form, gap_unit = GAPS[figure]
    rows = [g for g in breakdown["groups"] if g["figures"][figure].value["gap"] is not None]
    proven = [g for g in rows if g["figures"][figure]["more_than_chance"].value]
    if not proven:
        return []
    best = next(g for g in rows if g["figures"][figure].value["gap"] == 0)
    worst = max(proven, key=lambda g: abs(g["figures"][figure].value["gap"]))
    said = say(
        "{name}, {words} by {by}: from {best}{unit} ({best_name}) to {worst}{unit} ({worst_name}), "
        "more than chance",
        name=name,
        by=Sentence(BY[by]),
        words=Sentence(words),
        best=best["figures"][figure].point(form),
        best_name=word(best["group"][by].value),
        worst=worst["figures"][figure].point(form),
        worst_name=word(worst["group"][by].value),
        unit=Sentence(unit),
    )
    equal = next((row for row in model["equal_ages"] if row["by"].value == by), None)
    if equal is None:
        return [say("{said}.", said=said)]
    gap = equal["largest_gap"][figure]
    rest = (
        "at equal ages a gap remains: {gap} from {lower} to {higher}."
        if gap["more_than_chance"].value
        else "at equal ages no gap is more than chance (the widest, {lower} to {higher}: {gap})."
    )
    return [
        say(
            "{said}; {rest}",
            said=said,
            rest=say(
                rest,
                gap=gap.span(gap_form, unit=gap_unit),
                lower=word(gap["lower"].value),
                higher=word(gap["higher"].value),
            ),
        )
    ]


def _single(model: Node) -> list[tuple[str, Node]]:
    """Give the groups of the plain breakdowns, with what parts them."""
    return [
        (breakdown["by"].value[0], group)
        for breakdown in model["by_group"]
        if len(breakdown["by"].value) == 1
        for group in breakdown["groups"]
    ]


def forests(name: str, model: Node) -> list[Chart]:
    """Draw age error and gender accuracy of every group."""
    return [
        _forest(name, model, "age_mae", "age MAE, years", False),
        _forest(name, model, "gender_accuracy", "gender accuracy", True),
    ]


def _forest(name: str, model: Node, figure: str, axis: str, share: bool) -> Chart:
    everyone = headline(model, figure)
    rows = _single(model)
    labels = [f"{BY[by]}: {group['group'][by].value}" for by, group in rows]
    tables = [group["figures"][figure].value for _, group in rows]
    value, low, high = (
        [float("nan") if t[key] is None else t[key] for t in tables]
        for key in ("value", "low", "high")
    )
    svg = charts.forest(
        labels, value, low, high, Axes(axis, "", model["subsets"]["all"]["faces"].value),
        counts=[group["faces"].value for _, group in rows],
        reference=None if everyone is None else everyone.figure.value, share=share,
    )  # fmt: skip
    return Chart(
        svg, say("{name}: {axis} by group; dashed: all faces.", name=name, axis=Sentence(axis))
    )


COLUMNS = (
    "group", "faces", "age MAE, years", "gap to the best", "by chance?", "gender accuracy",
    "gap, points", "by chance?",
)  # fmt: skip


def groups(name: str, model: Node) -> Table:
    """Give the figures of every group, with the gap to the best of its kind."""
    rows: list[list[Cell]] = [
        [word(f"{BY[by]}: {group['group'][by].value}"), *_cells(group)]
        for by, group in _single(model)
    ]
    return Table(COLUMNS, rows, say("{name} by group", name=name), wide=True)


def _crossings(name: str, model: Node) -> Table | None:
    rows = _worst_crossings(model)
    if not rows:
        return None
    return Table(
        COLUMNS,
        rows,
        say("{name}: the crossings of groups with the largest age error", name=name),
        Sentence(
            "Only groups with at least 20 faces. A crossing with an age band is held against the "
            "best crossing of the same kind, which is mostly one of children."
        ),
        wide=True,
    )


def _cells(group: Node) -> list[Cell]:
    cells: list[Cell] = [group["faces"].show("count")]
    for figure, form, gap in (
        ("age_mae", "years", "signed years"),
        ("gender_accuracy", "share", "signed points"),
    ):
        place = group["figures"][figure]
        cells += [place.span(form), _gap(place, gap), _verdict(place)]
    return cells


def _gap(place: Node, form: str) -> Sentence:
    if place.value["gap"] is None:
        return Sentence("-")
    if place.value["gap"] == 0:
        return Sentence("best")
    return say(
        "{gap} ({low} to {high})",
        gap=place["gap"].show(form),
        low=place["gap_low"].show(form),
        high=place["gap_high"].show(form),
    )


def _verdict(place: Node) -> str:
    proven = place.value["more_than_chance"]
    if place.value["gap"] == 0:
        return ""
    return "not tested" if proven is None else "no" if proven else "may be"


def _worst_crossings(model: Node) -> list[list[Cell]]:
    rows = [
        (breakdown["by"].value, group)
        for breakdown in model["by_group"]
        if len(breakdown["by"].value) > 1
        for group in breakdown["groups"]
        if group["figures"]["age_mae"].value["low"] is not None
    ]
    rows.sort(key=lambda row: -row[1]["figures"]["age_mae"].value["value"])
    return [
        [word(", ".join(group["group"][by].value for by in own)), *_cells(group)]
        for own, group in rows[:SHOWN_CROSSINGS]
    ]


def at_equal_ages(name: str, model: Node) -> Table | None:
    """Give the figures of every group at equal ages; None where no group can be compared."""
    rows: list[list[Cell]] = []
    left: list[str] = []
    for breakdown in model["equal_ages"]:
        left += breakdown["left_out"].value
        rows += [
            [
                word(f"{BY[breakdown['by'].value]}: {row['group'].value}"),
                row["faces"].show("count"),
                row["figures"]["age_mae"].span("years"),
                row["figures"]["gender_accuracy"].span("share"),
            ]
            for row in breakdown["groups"]
        ]
    if not rows:
        return None
    note = "Each band of ages (0-12, 13-25, 26-40, 41-60, 61+) counts as it does among all faces."
    return Table(
        ["group", "faces", "age MAE, years", "gender accuracy"],
        rows,
        say("{name} by group, at equal ages", name=name),
        Sentence(
            note
            + (f" Too few in one of the bands: {', '.join(dict.fromkeys(left))}." if left else "")
        ),
        wide=True,
    )
