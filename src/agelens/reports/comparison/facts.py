"""Look models, groups and pairs up in the tree of figures of a report, for rules and templates."""

import shlex
from collections.abc import Iterable

from agelens import provenance
from agelens.reports.numbers import Node

PROMISE = 0.9  # the coverage that the interval of the age promises
QUALITIES = ("light", "contrast", "sharpness", "detail", "pose", "colour", "size")
ATTRIBUTES = {  # as charts and tables name them; a measure of quality by its own name
    "age": "age", "gender": "gender label", "race": "race label", "size": "picture size"
}  # fmt: skip

Named = tuple[str, Node]  # a model's name and its node


def answered(tree: Node) -> tuple[Named, ...]:
    """Return the models that answered enough faces for figures, in their order."""
    return tuple((name, model) for name, model in tree["models"].items() if "mistakes" in model)


def best_first(tree: Node, figure: str = "age_mae") -> list[Named]:
    """Return the answered models, the best age error or the highest other figure first."""

    def rank(named: Named) -> float:
        found = headline(named[1], figure)
        best_is_low = 1 if figure == "age_mae" else -1
        return best_is_low * found.figure.value if found else float("inf")

    return sorted(answered(tree), key=rank)


def headline(model: Node, figure: str, subset: str = "all") -> Node | None:
    """Return a figure of a model on all faces or a subset; None where it is not defined."""
    found = model["subsets"].get(subset)
    figures = found and found.get("figures")
    place = figures and figures.get(figure)
    return place if place and place["value"].value is not None else None


def pairs(tree: Node) -> list[Node]:
    """Return the comparison of every two models."""
    comparison = tree.get("comparison")
    return [] if comparison is None else list(comparison["pairs"])


def pair_of(tree: Node, one: str, other: str) -> Node | None:
    """Return the comparison of two models, whichever comes first; None where there is none."""
    wanted = {one, other}
    return next((p for p in pairs(tree) if {p["first"].value, p["second"].value} == wanted), None)


def other_of(pair: Node, name: str) -> str:
    """Return the name of the other model of a pair."""
    first, second = str(pair["first"]), str(pair["second"])
    return second if name == first else first


def value(row: Node, figure: str, of: str = "") -> float:
    """Return the value of a figure of a group of faces, or of what it has under the name `of`."""
    found = row["figures"][figure]
    return (found[of] if of else found).figure.value


def decades(model: Node) -> list[Node]:
    """Return the decades of the label with enough faces for an interval."""
    return [r for r in model["by_decade"] if r["figures"]["age_mae"]["low"].value is not None]


def biased(rows: Iterable[Node]) -> list[Node]:
    """Return the groups that are predicted too young or too old beyond chance."""
    return [row for row in rows if row["figures"]["age_bias"].figure.excludes_zero]


def pulled_ages(model: Node) -> tuple[Node | None, Node | None]:
    """Return the decade that is predicted most too young, and the one most too old."""
    rows = {value(row, "age_bias"): row for row in biased(decades(model))}
    low, high = min(rows, default=0.0), max(rows, default=0.0)
    return rows[low] if low < 0 else None, rows[high] if high > 0 else None


def short_intervals(rows: Iterable[Node]) -> list[Node]:
    """Return the groups whose intervals cover less than promised, the lowest coverage first."""
    short = [r for r in rows if r["figures"]["interval_coverage"].figure.high < PROMISE]
    return sorted(short, key=lambda row: value(row, "interval_coverage"))


def groups_apart(
    model: Node, figure: str, *, less: bool, by: tuple[str, ...] = ("age", *QUALITIES)
) -> list[Node]:
    """Return the groups whose figure is less, or more, than of all other faces; widest first."""
    rows = [
        row
        for row in model["against_rest"]
        if row["figures"][figure]["more_than_chance"]
        and (value(row, figure, "against_rest") < 0) == less
        and row["by"].value in by
    ]
    return sorted(rows, key=lambda row: -abs(value(row, figure, "against_rest")))


def label(by: str, name: str) -> str:
    """Return the name of a group in a chart or a table: "race label: asian"."""
    return f"{ATTRIBUTES.get(by, by)}: {name}"


def single_groups(model: Node) -> list[tuple[str, Node]]:
    """Return the groups by one attribute, each with its name."""
    return [
        (label(by, group["group"][by].value), group)
        for breakdown in model["by_group"]
        if len(breakdown["by"]) == 1
        for by in breakdown["by"].value
        for group in breakdown["groups"]
    ]


def training_records(tree: Node, *, by_epoch: bool = False) -> tuple[Named, ...]:
    """Return the training records of the models, all or those with a history by epoch."""
    known = ((name, model["training"]) for name, model in tree["models"].items())
    return tuple((name, r) for name, r in known if r and (r["epochs"] or not by_epoch))


def has_curve(record: Node, key: str) -> bool:
    """Tell whether a training record has a figure in any epoch."""
    return any(key in row for row in record["epochs"])


def shown_command(command: str) -> str:
    """Return a command as it may be shown: of absolute paths the last part alone."""
    return provenance.command(shlex.split(command))
