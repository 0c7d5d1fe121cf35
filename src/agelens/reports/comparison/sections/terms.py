"""The words for figures, and how to find them in the tree."""

import shlex
from collections.abc import Iterator

from agelens import provenance
from agelens.reports.traced_text import Node, Sentence, say, word

FIGURES = {
    "age_mae": ("age MAE, years", "years"),
    "age_mae_of_mean": ("age MAE, of the distribution's mean", "years"),
    "age_median_error": ("median age error, years", "years"),
    "age_rmse": ("age RMSE, years", "years"),
    "age_bias": ("age bias, years", "signed years"),
    "age_exact": ("age exact to the year", "share"),
    "age_within_5": ("age within 5 years (CS@5)", "share"),
    "age_group_accuracy_adience": ("age group, Adience's", "share"),
    "age_group_accuracy_fairface": ("age group, FairFace's", "share"),
    "gender_accuracy": ("gender accuracy", "share"),
    "gender_balanced_accuracy": ("gender balanced accuracy", "share"),
    "female_precision": ('precision of "female"', "share"),
    "female_recall": ('recall of "female"', "share"),
    "female_f1": ('F1 of "female"', "share"),
    "male_precision": ('precision of "male"', "share"),
    "male_recall": ('recall of "male"', "share"),
    "male_f1": ('F1 of "male"', "share"),
    "gender_auc": ("gender AUC", "plain"),
    "gender_log_loss": ("gender log loss, nats", "plain"),
    "gender_brier": ("gender Brier score", "plain"),
    "gender_ece": ("gender ECE", "plain"),
    "interval_coverage": ("coverage of the 90% interval", "share"),
    "interval_width": ("mean width of the interval, years", "tenth"),
    "age_loss": ("age loss", "plain"),
    "loss": ("loss", "plain"),
}
"""The name of each figure with its unit, and the form of its number."""

BY = {
    "age": "age", "gender": "gender label", "race": "race label", "light": "light",
    "contrast": "contrast", "sharpness": "sharpness", "detail": "detail", "pose": "pose",
    "colour": "colour", "size": "picture size", "decade": "decade",
}  # fmt: skip
"""What faces are parted by, in words."""

THIRDS = {
    "dark third": "the darkest third", "bright third": "the brightest third",
    "flat third": "the third with the least contrast",
    "strong third": "the third with the most contrast",
    "blurred third": "the most blurred third", "sharp third": "the sharpest third",
    "frontal third": "the most frontal third", "turned third": "the most turned third",
    "small third": "the smallest third", "large third": "the largest third",
}  # fmt: skip
"""Thirds of the pictures, in a sentence."""
QUALITIES = ("light", "contrast", "sharpness", "detail", "pose", "colour", "size")


def name_of(row: Node) -> Sentence:
    """Name a group in a sentence: "ages 21-40", "race label asian", "the blurred third"."""
    by, name = row["by"].value, row["group"].value
    if by == "age":
        return word(f"ages {name}")
    if by in ("gender", "race"):
        return word(f"faces labelled {name}")
    if by in ("light", "contrast", "sharpness", "pose", "size"):
        return word(THIRDS.get(name, f"the middle third in {BY[by]}"))
    if by == "detail":
        return word(f"faces with a detail of {name}")
    return word(f"pictures {name}" if name == "in colour" else f"{name} pictures")


def label_of(row: Node) -> Sentence:
    """Name a group in a chart or a table: "light: dark third"."""
    by, name = row["by"].value, row["group"].value
    return word(f"{BY[by]} {name}" if by == "age" else f"{BY[by]}: {name}")


def which_faces(data: Node) -> Sentence:
    """Say which faces of a dataset were measured: "the test folds of split 0"."""
    if data["part"].value == "all":
        return Sentence("the whole dataset")
    return say(
        "the {part} folds of split {split}",
        part=Sentence(data["part"].value),
        split=data["split"].show("count"),
    )


def headline(model: Node, figure: str, subset: str = "all") -> Node | None:
    """Give a headline figure of a model, where it has one."""
    part = model["subsets"][subset]
    if "figures" not in part or figure not in part["figures"]:
        return None
    found = part["figures"][figure]
    return found if found.value["value"] is not None else None


def answered(tree: Node) -> list[tuple[str, Node]]:
    """Give the models that answered enough faces to say something of, in their order."""
    return [(name, model) for name, model in tree["models"].items() if "mistakes" in model]


def ranked(tree: Node) -> list[tuple[str, Node]]:
    """Give the same models, best age first."""
    return sorted(answered(tree), key=lambda pair: _mae(pair[1]))


def _mae(model: Node) -> float:
    figure = headline(model, "age_mae")
    return float("inf") if figure is None else figure.figure.value


def sure_decades(model: Node) -> Iterator[Node]:
    """Give the decades with enough faces for an interval."""
    return (row for row in model["by_decade"] if row["figures"]["age_mae"].value["low"] is not None)


def pair_of(tree: Node, one: str, other: str) -> Node | None:
    """Give the comparison of two models, whichever of them is first; None where there is none."""
    for pair in pairs(tree):
        if {pair["first"].value, pair["second"].value} == {one, other}:
            return pair
    return None


def pairs(tree: Node) -> Iterator[Node]:
    """Give the comparison of every two models."""
    if "comparison" in tree and tree["comparison"].value is not None:
        yield from tree["comparison"]["pairs"]


def shown_command(command: str) -> str:
    """Give a command as it may be shown: of absolute paths the last part alone."""
    return provenance.command(shlex.split(command))
