"""Decide which findings the figures of a report support, and how important each one is.

A difference counts only where its interval excludes zero. The sentences stand in
`templates/comparison/findings.jinja`, one macro for each name of a finding.
"""

from collections.abc import Iterator
from typing import Any

from agelens.evaluation.saliency import TARGETS
from agelens.reports.comparison import facts
from agelens.reports.comparison.facts import PROMISE, Named, headline
from agelens.reports.findings import Finding
from agelens.reports.traced_text import Node

FEW_FACES = 200
"""With fewer faces than this the reader is warned."""
FAR_BELOW = 0.86
"""A decade whose coverage is below this is marked as strange."""
MOST_GROUPS = 4
"""Groups that one finding names at most."""
WARNING = 110  # cautions come before every other finding
GROUP_FIGURES = ("age_mae", "gender_accuracy")


def find(tree: Node) -> list[Finding]:
    """Return the findings of a whole report; those of the best model are the important ones."""
    found = [*cautions(tree), *label_noise(tree)]
    models = facts.best_first(tree)
    if not models:
        return [*found, Finding("too_few_answers", "figures", WARNING, strange=True)]
    found += _leads(tree, models)
    found += _ensembles(tree)
    gender_best = facts.best_first(tree, "gender_accuracy")[0][0]
    for named in models:
        found += describe_model(*named, best=named is models[0], gender_best=gender_best)
    for pair in facts.pairs(tree):
        found += _pair(pair, alone=len(models) == 2)
    return [*found, *_doubtful_labels(tree), *_training(tree), *_saliency(tree)]


def describe_model(name: str, model: Node, *, best: bool, gender_best: str) -> list[Finding]:
    """Return the findings about one model on its own: age, gender, groups, calibration."""
    return [
        *_age_error(name, model, best),
        *by_age(name, model, best),
        *gender_accuracy(name, model, name == gender_best),
        Finding(
            "age_groups",
            f"age groups {name}",
            values={"name": name, "near": model["confusion"]["one_off"]},
        ),
        *group_gaps(name, model, best),
        *coverage(name, model, best),
        *_certainty(name, model),
    ]


def cautions(tree: Node) -> Iterator[Finding]:
    """Find what makes the figures too good, or too uncertain to rely on."""
    data = tree["data"]
    leaks = list(facts.leaks(tree))
    if leaks:
        values = {"leaks": leaks, "data": data}
        yield Finding("leaks", "faces", WARNING + 2, strange=True, values=values)
    if data["faces"].value < FEW_FACES:
        yield Finding("few_faces", "faces", WARNING + 1, True, {"faces": data["faces"]})
    if data["part"].value in ("validation", "train"):
        yield Finding("seen_faces", "faces", WARNING, True, {"part": data["part"]})


def label_noise(tree: Node) -> Iterator[Finding]:
    """Find how far the labels of identical pictures lie apart."""
    noise = tree["data"].get("label_noise")
    if noise and noise["pairs"]:
        importance = 35 if noise["mean_difference"] or noise["genders_differ"] else 0
        yield Finding("label_noise", "faces", importance, values={"noise": noise})


def _leads(tree: Node, models: list[Named]) -> Iterator[Finding]:
    """Hold the best model in age, and the best in gender, against each of the others."""
    for figure, importance in (("age_mae", 95), ("gender_accuracy", 65)):
        order = facts.best_first(tree, figure)
        name = order[0][0]
        gaps = [
            (other, pair["figures"][figure])
            for other, _ in order[1:]
            if (pair := facts.pair_of(tree, name, other)) is not None
        ]
        if gaps:
            proven = any(gap["better"] for _, gap in gaps)
            values = {"name": name, "figure": figure, "gaps": gaps}
            at = "comparison" if len(models) > 2 else place_of(facts.pairs(tree)[0])
            yield Finding("lead", at, importance if proven else 45, values=values)


def _ensembles(tree: Node) -> Iterator[Finding]:
    """Hold each ensemble against its best member that is shown."""
    for name, model in tree["models"].items():
        member = facts.better_member(tree, name, model)
        pair = None if member is None else facts.pair_of(tree, name, member)
        if pair is not None:
            values = {"name": name, "member": member, "gap": pair["figures"]["age_mae"]}
            yield Finding("ensemble", "comparison", 85, values=values)


def _age_error(name: str, model: Node, best: bool) -> Iterator[Finding]:
    mae, near = headline(model, "age_mae"), headline(model, "age_within_5")
    if mae is None or near is None:
        return
    half, _, nine, _ = model["mistakes"]["error_quantiles"]
    values = {"name": name, "mae": mae, "half": half, "nine": nine}
    yield Finding("age_error", f"ages {name}", 100 if best else 0, values=values)
    values = {"name": name, "near": near, "exact": headline(model, "age_exact")}
    values["far"] = model["mistakes"]["far_off"]
    yield Finding("within_years", "cumulative score", values=values)


def by_age(name: str, model: Node, best: bool) -> Iterator[Finding]:
    """Name the decades with the lowest and highest error, and those predicted too old or young."""
    rows = sorted(facts.decades(model), key=lambda row: row["figures"]["age_mae"].figure.value)
    if len(rows) > 1:
        low, high = (rows[place]["figures"]["age_mae"].figure for place in (0, -1))
        if low.high < high.low:
            values = {"name": name, "best": rows[0], "worst": rows[-1]}
            yield Finding("best_and_worst_ages", "bias by age", 60 if best else 0, values=values)
    young, old = pulled_ages(model)
    if young or old:
        values = {"name": name, "young": young, "old": old}
        yield Finding("bias_by_age", "bias by age", 88 if best else 0, values=values)


def pulled_ages(model: Node) -> tuple[Node | None, Node | None]:
    """Return the decade that is predicted most too young, and the one most too old."""
    rows = [r for r in facts.decades(model) if facts.excludes(r["figures"]["age_bias"], 0)]
    rows.sort(key=lambda row: row["figures"]["age_bias"].figure.value)
    young = rows[0] if rows and rows[0]["figures"]["age_bias"].figure.value < 0 else None
    old = rows[-1] if rows and rows[-1]["figures"]["age_bias"].figure.value > 0 else None
    return young, old


def gender_accuracy(name: str, model: Node, best: bool) -> Iterator[Finding]:
    """Find how often the gender is right, and how many of the errors are children."""
    right = headline(model, "gender_accuracy")
    if right is None:
        return
    values = {
        "name": name, "right": right, "grown": headline(model, "gender_accuracy", "13 and older"),
        "young": headline(model, "gender_accuracy", "under 13"),
        "wrong": model["confusion"]["wrong_genders"] if "confusion" in model else None,
    }  # fmt: skip
    yield Finding("gender", f"genders {name}", 90 if best else 0, values=values)


def group_gaps(name: str, model: Node, best: bool) -> Iterator[Finding]:
    """Find the gaps between genders and race labels, and whether they are due to age alone."""
    for breakdown in model["by_group"]:
        if breakdown["by"].value not in (["gender"], ["race"]):
            continue
        by = breakdown["by"].value[0]
        equal = next((one for one in model["equal_ages"] if one["by"].value == by), None)
        for figure in GROUP_FIGURES:
            rows = [g for g in breakdown["groups"] if g["figures"][figure].get("gap") is not None]
            proven = [g for g in rows if g["figures"][figure]["more_than_chance"]]
            if not proven:
                continue
            remains = None if equal is None else equal["largest_gap"][figure]
            values = {
                "name": name, "figure": figure, "by": by, "remains": remains,
                "attribute": facts.ATTRIBUTES[by],
                "best": next(g for g in rows if g["figures"][figure]["gap"].value == 0),
                "worst": max(proven, key=lambda g: abs(g["figures"][figure]["gap"].value)),
            }  # fmt: skip
            importance = 70 if remains and remains["more_than_chance"] else 30
            yield Finding(
                "group_gap", f"{figure} by group {name}", importance if best else 0, values=values
            )


def coverage(name: str, model: Node, best: bool) -> Iterator[Finding]:
    """Hold the coverage of the 90% interval against what it promises, also by decade."""
    seen = headline(model, "interval_coverage")
    if seen is None:
        return
    short = sorted(
        (
            row
            for row in facts.decades(model)
            if row["figures"]["interval_coverage"].figure.high < PROMISE
        ),
        key=lambda row: row["figures"]["interval_coverage"].figure.value,
    )
    strange = bool(short) and short[0]["figures"]["interval_coverage"].figure.value < FAR_BELOW
    values = {
        "name": name, "seen": seen, "holds": seen.figure.low <= PROMISE <= seen.figure.high,
        "low": seen.figure.value < PROMISE, "short": short[0] if short else None,
    }  # fmt: skip
    importance = (75 if strange else 40) if best else 0
    yield Finding("coverage", f"coverage {name}", importance, strange, values)


def _certainty(name: str, model: Node) -> Iterator[Finding]:
    accuracy = headline(model, "gender_accuracy")
    if accuracy is not None:
        gender = model["reliability"]["gender"]
        gap = gender["accuracy_minus_confidence"]["all"].figure
        values = {"name": name, "right": accuracy, "confidence": gender["confidence"],
                  "modest": gap.low > 0, "sure": gap.high < 0}  # fmt: skip
        yield Finding("gender_confidence", f"gender reliability {name}", values=values)
    values = {"name": name, "found": model["reliability"]["doubt"]}
    yield Finding("large_errors", "surest faces", values=values)


def place_of(pair: Node) -> str:
    """Return the name of the table that compares two models."""
    return f"{pair['second']} against {pair['first']}"


def _pair(pair: Node, *, alone: bool) -> Iterator[Finding]:
    first, second = pair["first"].value, pair["second"].value
    at = place_of(pair)
    for figure in GROUP_FIGURES if not alone else ():  # two models: the lead says the same
        yield Finding("difference", at, values={"pair": pair, "figure": figure})
    yield Finding("together", at, values={"found": pair["together"]})
    for name in (first, second):
        for figure in GROUP_FIGURES:
            rows = [r for r in pair["by_group"] if r["figures"][figure]["better"].value == name]
            if rows:
                rows.sort(key=lambda row: -abs(row["figures"][figure].figure.value))
                values = {"name": name, "other": facts.other_of(pair, name), "figure": figure,
                          "rows": rows[:MOST_GROUPS], "more": len(rows) > MOST_GROUPS}  # fmt: skip
                yield Finding("better_groups", f"{figure}: {at}", values=values)
        if not any(
            row["figures"][figure]["better"].value == name
            for row in pair["by_group"]
            for figure in GROUP_FIGURES
        ):
            yield Finding("no_better_group", f"groups: {at}", values={"name": name})


def _doubtful_labels(tree: Node) -> Iterator[Finding]:
    comparison = tree.get("comparison")
    if comparison is not None and comparison["doubtful_labels"]["faces"]:
        values = {"found": comparison["doubtful_labels"]}
        yield Finding("doubtful_labels", "doubtful labels", values=values)


def _training(tree: Node) -> Iterator[Finding]:
    for name, record in facts.training_records(tree):
        if record["epochs"]:
            values = {"name": name, "record": record}
            yield Finding("where_training_stood", f"loss {name}", values=values)
        if "against_best_member" in record:
            values = {"name": name, "against": record["against_best_member"]}
            yield Finding("members", f"members {name}", values=values)
    for name, model in facts.answered(tree):
        mae, right = headline(model, "age_mae"), headline(model, "gender_accuracy")
        if model["learnt"] and mae is not None and right is not None:
            values = {"name": name, "learnt": model["learnt"], "mae": mae, "right": right}
            yield Finding("training_faces", "training faces", values=values)


def _saliency(tree: Node) -> Iterator[Finding]:
    for name, model in tree["models"].items():
        for target in TARGETS if "saliency" in model else ():
            values: dict[str, Any] = {
                "name": name, "target": target, "found": model["saliency"][target],
                "regions": facts.dense_regions(model["saliency"][target]),
            }  # fmt: skip
            yield Finding("saliency", f"saliency {name} {target}", values=values)
