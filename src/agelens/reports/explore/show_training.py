"""The page's sections about imbalance, weights, splits and folds."""

from collections.abc import Callable

import numpy as np

from agelens.data.exploration.balance import LEAST, Balance, Comparison, Part
from agelens.data.exploration.class_weights import SMOOTHED, Imbalance, Scheme
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.words import counted, percent
from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.page import Cell, Chart, Section, Table, Text
from agelens.reports.page import Part as PagePart

Row = list[Cell]
_SHOWN = 12  # tests listed, the smallest p first


def imbalance_section(facts: Facts) -> Section | None:
    """Show what each way of weighting costs; None for few faces or one class of everything."""
    if not facts.imbalance or facts.labels.faces < LEAST:
        return None
    rows: list[Row] = [
        [
            one.by, one.classes, f"{one.largest[0]} ({one.largest[1]:,})",
            f"{one.smallest[0]} ({one.smallest[1]:,})", f"{one.ratio:,.1f}",
            f"{one.equal_classes:.1f}",
        ]
        for one in facts.imbalance
    ]  # fmt: skip
    parts: list[PagePart] = [
        Text(
            [
                "A loss averaged over faces is the loss of the frequent ones. Weights make rare "
                "classes count, at a price: the fewer faces carry the sum, the noisier every "
                "step. “Worth” is how many equal faces would give as steady a mean (Kish 1965).",
            ]
        ),
        Table(
            ["label", "classes", "most frequent", "rarest", "ratio", "equal classes"], rows,
            "How unequal the classes are",
            "“Equal classes”: so many equal classes would be as mixed (exp of the entropy).",
            wide=True,
        ),
    ]  # fmt: skip
    parts += _schemes(facts.imbalance)
    drawn = _weights_chart(facts)
    if drawn is not None:
        parts.append(drawn)
    parts.append(
        Text(
            [
                f"weights.csv beside this page holds a weight for each face by the {facts.weights} "
                "of its age, the largest 1: agelens train --downweight takes it. Whether it helps "
                "is for the validation folds to say: weights move errors from rare ages to "
                "frequent ones, and a mean error over all faces can get worse by it.",
            ]
        )
    )
    return Section("Imbalance and weights", parts)


def splits_section(balance: Balance) -> Section:
    """Show the mix of every part and fold, and the tests."""
    races = list(next((part.races for part in balance.folds if part.races), {}))
    rows = [
        [f"{number} {part.name}", *_part(part, races)]
        for number, parts in balance.splits.items()
        for part in parts
    ]
    columns = ["faces", "mean age", "median", "female", *races]
    parts: list[PagePart] = [
        Table(["split", *columns], rows, "Parts of the splits", wide=True),
        Table(
            ["fold", *columns],
            [[p.name, *_part(p, races)] for p in balance.folds],
            "Folds",
            wide=True,
        ),
    ]
    tests = sorted(balance.tests, key=lambda test: (test.p_holm, test.p))
    if tests:
        shown = tests[:_SHOWN]
        parts.append(
            Table(
                ["of", "between", "in", "effect", "years", "p", "p, corrected"],
                [_test(test) for test in shown], "Tests of difference, the most suspicious first",
                f"{counted(len(tests), 'test').capitalize()} in all, "
                f"{'none' if not any(t.differs for t in tests) else 'those under 0.05'} more than "
                "chance after correction (Holm 1979). Ages: Kolmogorov-Smirnov, effect its "
                "distance, years the difference of means. Gender and race: chi-square, effect "
                "Cramér's V. Under 0.1 an effect is small. Photos of one person or event "
                "stay in one fold where that is known, so faces are not quite independent and p "
                "comes out a little too small.",
                wide=True,
            )
        )  # fmt: skip
    if balance.untested:
        parts.append(
            Text(
                [f"Not tested, for too few faces or one class only: {', '.join(balance.untested)}."]
            )
        )
    return Section("Splits and folds", parts)


def _schemes(imbalance: list[Imbalance]) -> list[PagePart]:
    """Table what each scheme costs by each label, and how far apart its weights are."""
    names = list(dict.fromkeys(scheme.name for one in imbalance for scheme in one.schemes))
    columns = ["weights", *(f"by {one.by}" for one in imbalance)]
    by = [{scheme.name: scheme for scheme in one.schemes} for one in imbalance]

    def rows(form: Callable[[Scheme], str]) -> list[Row]:
        return [[name, *(form(one[name]) if name in one else "-" for one in by)] for name in names]

    return [
        Table(
            columns, rows(lambda scheme: f"{100 * scheme.share:.1f} %"), "Worth after weighting",
            "Equal faces that the weighted ones are worth, of all with the label.", wide=True,
        ),
        Table(
            columns, rows(lambda scheme: f"{scheme.ratio:,.1f}"), "Largest weight over smallest",
            "The schemes are those of Cui et al. (2019; effective number) and Yang et al. (2021; "
            "smoothed over neighbouring ages), and the plain ones.", wide=True,
        ),
    ]  # fmt: skip


def _weights_chart(facts: Facts) -> Chart | None:
    age = next((one for one in facts.imbalance if one.by == "age"), None)
    if age is None or age.classes < 3:
        return None
    chosen = [
        scheme for scheme in age.schemes
        if scheme.name in (SMOOTHED, "square root", "effective number, 0.99", "inverse")
    ]  # fmt: skip
    lines = {}
    for scheme in chosen:
        years = np.array(sorted(map(int, scheme.by_class)))
        lines[scheme.name] = Line(years, [scheme.by_class[str(year)] for year in years])
    chart = charts.lines(
        lines, Axes("age, years", "weight of a face (mean 1, log scale)", facts.labels.faces),
        scale="log", reference=1.0, wide=True,
    )  # fmt: skip
    return Chart(chart, "Weight of a face by its age, on average 1 over all faces.")


def _part(part: Part, races: list[str]) -> Row:
    def said(value: float | None, form: str = "{:.1f}") -> str:
        return "-" if value is None else form.format(value)

    female = "-" if part.female is None else percent(part.female)
    ages = [said(part.mean_age), said(part.median_age, "{:.0f}")]
    shares = [percent(part.races[race]) if race in part.races else "-" for race in races]
    return [part.faces, *ages, female, *shares]


def _test(test: Comparison) -> Row:
    years = "" if test.years is None else f"{test.years:+.2f}"
    return [
        test.of,
        test.between,
        test.where,
        f"{test.effect:.3f}",
        years,
        _p(test.p),
        _p(test.p_holm),
    ]


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
