"""The page's sections about the labels."""

import numpy as np
from numpy.typing import ArrayLike

from agelens.data.exploration.age_bands import NOT_TOLD
from agelens.data.exploration.label_statistics import Labels, Odd, Spread, around_each
from agelens.data.exploration.words import percent
from agelens.inference.distribution import AGES
from agelens.reports import charts
from agelens.reports.charts import Axes
from agelens.reports.page import Cell, Chart, Part, Section, Table, Text

Row = list[Cell]

MANY = 1000  # faces from which single years say something


def ages_section(labels: Labels) -> Section:
    """Show how ages are spread, where they heap, and what lies beyond 90."""
    parts: list[Part] = [_by_range(labels) if labels.ranged else _by_year(labels)]
    groups = {"all": labels.age} | {
        name: one
        for name, one in (labels.age_by_gender | labels.age_by_race).items()
        if name != NOT_TOLD
    }
    parts.append(
        Table(
            ["faces labelled", "faces", "mean", "deviation", "youngest", "quarter", "median",
             "three quarters", "oldest"],
            [_spread(name, one) for name, one in groups.items()],
            "Ages in years",
            "A quarter of the faces is as old as “quarter” or younger; three quarters likewise."
            + (" Of a range its middle counts." if labels.ranged else ""),
            wide=True,
        )
    )  # fmt: skip
    if labels.heaps or labels.dips:
        parts.append(_odd_table("Heaps", labels.heaps))
        parts.append(_odd_table("Rare between their neighbours", labels.dips))
    if labels.last_digits is not None and labels.whipple is not None:
        shares = np.array(labels.last_digits) / max(sum(labels.last_digits), 1)
        parts.append(
            Chart(
                charts.bars(
                    [str(digit) for digit in range(10)], {"faces": shares},
                    Axes("last digit of the age", "share of faces", labels.whipple_faces),
                    share=True,
                ),
                "Last digit of the ages from 23 to 62, where each digit has four ages. Guessed "
                "ages favour 0 and 5; Whipple's index "
                f"here is {labels.whipple:.0f} (100: no favour, 500: nothing but 0 and 5).",
            )
        )  # fmt: skip
    if labels.beyond_90:
        rows: list[Row] = [[str(age), faces] for age, faces in labels.beyond_90.items()]
        parts.append(Table(["age", "faces"], rows, "Older than 90"))
    return Section("Ages", [part for part in parts if not isinstance(part, Table) or part.rows])


def groups_section(labels: Labels) -> Section | None:
    """Show age by gender and by race; None where neither is told."""
    parts = [*_genders(labels), *_races(labels)]
    return Section("Gender and race", parts) if parts else None


def _genders(labels: Labels) -> list[Part]:
    told = {word: counts for word, counts in labels.band_by_gender.items() if word != NOT_TOLD}
    total = sum(map(sum, told.values()))
    if len(told) == 1:
        name, counts = next(iter(told.items()))
        chart = charts.bars(labels.bands, {name: counts}, Axes("age, years", "faces", total))
        return [Chart(chart, f"Faces by age; all with a gender are labelled {name}.")]
    if not told:
        return []
    women, men = told["female"], told["male"]
    chart = charts.pyramid(
        labels.bands, ("female", women), ("male", men), Axes("faces", "age, years", total)
    )
    rows: list[Row] = [
        [band, w, m, percent(w / (w + m)) if w + m else "-"]
        for band, w, m in zip(labels.bands, women, men, strict=True)
    ]
    table = Table(["age", "female", "male", "female share"], rows, "By age and gender")
    return [Chart(chart, "Faces by age and gender."), table]


def _races(labels: Labels) -> list[Part]:
    told = {word: counts for word, counts in labels.band_by_race.items() if word != NOT_TOLD}
    if len(told) == 1:
        return [Text([f"All faces with a race label are labelled {next(iter(told))}."])]
    if not told:
        return []
    counts = np.array(list(told.values()), float)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    axes = Axes("age, years", "race label", int(counts.sum()))
    names, bands = list(told), labels.bands
    parts: list[Part] = [
        Chart(
            charts.heat(counts, names, bands, axes, unit="faces", wide=True),
            "Faces by race label and age.",
        ),
        Chart(
            charts.heat(
                shares, names, bands, axes, unit="% of the race label", form="{:.1f}", wide=True
            ),
            "The same as shares of each race label: where rows differ, a comparison of errors "
            "between races is one between ages as well.",
        ),
    ]
    if labels.female_by_race:
        rows: list[Row] = [[race, percent(share)] for race, share in labels.female_by_race.items()]
        parts.append(Table(["race label", "female share"], rows, "Gender by race label"))
    return parts


def _by_year(labels: Labels) -> Chart:
    counts = np.zeros(AGES, np.int64)
    counts[list(labels.ages)] = list(labels.ages.values())
    inside = slice(min(labels.ages), max(labels.ages) + 1)
    series: dict[str, ArrayLike] = {"faces": counts[inside]}
    caption = "Faces by whole year of age."
    around = around_each(counts)[inside]
    if labels.faces >= MANY and np.isfinite(around).all():
        series["median of the ages around"] = around
        caption += " Far above the line are heaps, far below it ages that labels avoid."
    chart = charts.histogram(
        np.arange(inside.start, inside.stop + 1) - 0.5, series,
        Axes("age, years", "faces", labels.faces), wide=True,
    )  # fmt: skip
    return Chart(chart, caption)


def _by_range(labels: Labels) -> Chart:
    totals = np.array(list(labels.band_by_gender.values())).sum(axis=0)
    chart = charts.bars(
        labels.bands,
        {"faces": totals},
        Axes("age, years", "faces", labels.faces),
        wide=len(labels.bands) > 6,
    )
    return Chart(chart, "Faces by age. The source tells ranges, so single years mean nothing.")


def _odd_table(title: str, odd: list[Odd]) -> Table:
    rows: list[Row] = [
        [str(one.age), one.faces, f"{one.around:,.1f}", f"{one.ratio:.2f}"] for one in odd
    ]
    return Table(
        ["age", "faces", "ages around", "times"], rows, title,
        "“Ages around” is the median count of the ages up to 3 years to either side. Listed is "
        "what is off by 1.5 times or more, and by more than chance would do.",
    )  # fmt: skip


def _spread(name: str, one: Spread) -> Row:
    years = (one.mean, one.deviation)
    whole = (one.low, one.quarter, one.median, one.three_quarters, one.high)
    return [name, one.faces, *(f"{v:.1f}" for v in years), *(f"{v:.0f}" for v in whole)]
