"""Look things up in the tree of figures of a report: models, groups, pairs, crossings.

The templates and the rules share these functions.
"""

import shlex
from collections.abc import Iterator

from agelens import provenance
from agelens.evaluation.groups import AGE
from agelens.evaluation.saliency import TARGETS, Target
from agelens.reports.numbers import Node

PROMISE = 0.9
"""The coverage that the interval of the age promises."""
QUALITIES = ("light", "contrast", "sharpness", "detail", "pose", "colour", "size")
"""Measures of picture quality by which faces are grouped."""
SHOWN_CROSSINGS = 8
ATTRIBUTES = {
    "age": "age", "gender": "gender label", "race": "race label", "light": "light",
    "contrast": "contrast", "sharpness": "sharpness", "detail": "detail", "pose": "pose",
    "colour": "colour", "size": "picture size",
}  # fmt: skip
"""What faces are grouped by, as charts and tables name it."""

Named = tuple[str, Node]
"""A model's name and its node."""


def answered(tree: Node) -> list[Named]:
    """Return the models that answered enough faces for figures, in their order."""
    return [(name, model) for name, model in tree["models"].items() if "mistakes" in model]


def best_first(tree: Node, figure: str = "age_mae") -> list[Named]:
    """Return the answered models, the best age error or the highest other figure first."""
    sign = 1 if figure == "age_mae" else -1

    def rank(named: Named) -> float:
        found = headline(named[1], figure)
        return float("inf") if found is None else sign * found.figure.value

    return sorted(answered(tree), key=rank)


def headline(model: Node, figure: str, subset: str = "all") -> Node | None:
    """Return a figure of a model on all faces or a subset; None where it is not defined."""
    found = model["subsets"][subset].get("figures") if subset in model["subsets"] else None
    place = None if found is None else found.get(figure)
    return None if place is None or place["value"].value is None else place


def pairs(tree: Node) -> list[Node]:
    """Return the comparison of every two models."""
    comparison = tree.get("comparison")
    return [] if comparison is None else list(comparison["pairs"])


def pair_of(tree: Node, one: str, other: str) -> Node | None:
    """Return the comparison of two models, whichever comes first; None where there is none."""
    wanted = {one, other}
    return next((p for p in pairs(tree) if {p["first"].value, p["second"].value} == wanted), None)


def place_of(pair: Node) -> str:
    """Return the name of the table that compares two models."""
    return f"{pair['second']} against {pair['first']}"


def other_of(pair: Node, name: str) -> str:
    """Return the name of the other model of a pair."""
    first, second = str(pair["first"]), str(pair["second"])
    return second if name == first else first


def decades(model: Node) -> list[Node]:
    """Return the decades of the label with enough faces for an interval."""
    return [r for r in model["by_decade"] if r["figures"]["age_mae"]["low"].value is not None]


def pulled_ages(model: Node) -> tuple[Node | None, Node | None]:
    """Return the decade that is predicted most too young, and the one most too old."""
    rows = [row for row in decades(model) if excludes(row["figures"]["age_bias"], 0)]
    rows.sort(key=lambda row: row["figures"]["age_bias"].figure.value)
    young = rows[0] if rows and rows[0]["figures"]["age_bias"].figure.value < 0 else None
    old = rows[-1] if rows and rows[-1]["figures"]["age_bias"].figure.value > 0 else None
    return young, old


def excludes(place: Node, value: float) -> bool:
    """Tell whether the interval of a figure excludes a value."""
    return place.figure.low > value or place.figure.high < value


def short_intervals(model: Node) -> list[Node]:
    """Return the groups whose intervals cover less than promised, the lowest coverage first."""
    rows = [
        row
        for row in model["against_rest"]
        if row["figures"]["interval_coverage"].figure.high < PROMISE
    ]
    return sorted(rows, key=lambda row: row["figures"]["interval_coverage"].figure.value)


def groups_apart(
    model: Node, figure: str, *, less: bool, by: tuple[str, ...] = (AGE, *QUALITIES)
) -> list[Node]:
    """Return the groups whose figure is less, or more, than of all other faces; widest first."""
    rows = [
        row
        for row in model["against_rest"]
        if row["figures"][figure]["more_than_chance"]
        and (row["figures"][figure]["against_rest"].figure.value < 0) == less
        and row["by"].value in by
    ]
    return sorted(rows, key=lambda row: -abs(row["figures"][figure]["against_rest"].figure.value))


def single_groups(model: Node) -> list[tuple[str, Node]]:
    """Return the groups by one attribute, each with the attribute."""
    return [
        (breakdown["by"].value[0], group)
        for breakdown in model["by_group"]
        if len(breakdown["by"]) == 1
        for group in breakdown["groups"]
    ]


def label(by: str, name: str) -> str:
    """Return the name of a group in a chart or a table: "race label: asian"."""
    return f"{ATTRIBUTES[by]}: {name}"


def crossings(model: Node) -> list[tuple[list[str], Node]]:
    """Return the crossings of groups with the largest age errors, each with its attributes."""
    rows = [
        (breakdown["by"].value, group)
        for breakdown in model["by_group"]
        if len(breakdown["by"]) > 1
        for group in breakdown["groups"]
        if group["figures"]["age_mae"]["low"].value is not None
    ]
    rows.sort(key=lambda row: -row[1]["figures"]["age_mae"].figure.value)
    return rows[:SHOWN_CROSSINGS]


def better_member(tree: Node, name: str, model: Node) -> str | None:
    """Return the shown member of an ensemble with the lowest age error; None without one."""
    listed = model["about"]["card"].value.get("members", ())
    members = {one.get("name") for one in listed if isinstance(one, dict)}
    shown = {
        other: found.figure.value
        for other, theirs in tree["models"].items()
        if {other, str(theirs["about"]["card"].value.get("name"))} & members
        and (found := headline(theirs, "age_mae")) is not None
    }
    if not shown or name in shown:
        return None
    best = min(shown, key=shown.__getitem__)
    return best if pair_of(tree, name, best) is not None else None


def leaks(tree: Node) -> Iterator[tuple[str, Node]]:
    """Give the models that have seen some of the faces in training.

    With each comes the number of such faces, where all faces were measured, or else the split
    that the model was trained on.
    """
    whole = tree["data"]["part"].value == "all"
    for name, model in tree["models"].items():
        data = model["about"]["card"].get("data")
        split = None if data is None else data.get("split")
        if whole and model["learnt_from"]:
            yield name, model["learnt_from"]
        elif not whole and split is not None and split.value != tree["data"]["split"].value:
            yield name, split


def training_records(tree: Node) -> list[Named]:
    """Return the training records of the models, where there are any."""
    known = ((name, model["training"]) for name, model in tree["models"].items())
    return [(name, record) for name, record in known if record]


def recorded_epochs(tree: Node) -> list[Named]:
    """Return the training records that have a history by epoch."""
    return [(name, record) for name, record in training_records(tree) if record["epochs"]]


def has_curve(record: Node, key: str) -> bool:
    """Tell whether a training record has a figure in any epoch."""
    return any(key in row for row in record["epochs"])


def without_training_accuracy(tree: Node) -> list[str]:
    """Return the models whose records lack the accuracy on training faces by epoch."""
    return [name for name, r in recorded_epochs(tree) if not has_curve(r, "train_gender_accuracy")]


def settings(tree: Node, key: str) -> list[bool]:
    """Return the different values of a setting of the evaluations, such as `flip`."""
    return sorted({bool(model[key]) for _, model in tree["models"].items()})


def any_answers(tree: Node) -> bool:
    """Tell whether any model answered any face."""
    return any(m["subsets"]["all"]["faces"] for _, m in tree["models"].items())


def sound_targets(model: Node) -> list[Target]:
    """Return the targets whose saliency maps pass the deletion test."""
    return [one for one in TARGETS if model["saliency"][one]["means_something"]]


def dense_regions(place: Node) -> list[Named]:
    """Return the two regions of a face with the most salience for their area, densest first."""
    dense = [
        (region["share"].figure.value / region["area"].value, name, region)
        for name, region in place["regions"].items()
        if region["share"].figure.low > region["area"].value
    ]
    return [(name, region) for _, name, region in sorted(dense, key=lambda one: -one[0])[:2]]


def shown_command(command: str) -> str:
    """Return a command as it may be shown: of absolute paths the last part alone."""
    return provenance.command(shlex.split(command))
