"""Decide which findings the figures of a report support, and how important each one is.

A difference counts only where its interval excludes zero. `templates/comparison/findings.jinja`
has the words.
"""

from collections.abc import Iterator

from agelens.evaluation.saliency import TARGETS
from agelens.reports.comparison import facts
from agelens.reports.comparison.facts import PROMISE, headline
from agelens.reports.numbers import Node
from agelens.reports.rendering import Finding, finding, strange

FEW_FACES = 200  # with fewer than this the reader is warned
FAR_BELOW = 0.86  # a decade whose coverage is below this is marked as strange
MOST_GROUPS = 4  # that one finding names
WARNING = 110  # cautions come before every other finding
GROUP_FIGURES = ("age_mae", "gender_accuracy")


def find(tree: Node) -> Iterator[Finding]:
    """Find what holds of a whole report; findings on the best model are the important ones."""
    yield from _cautions(tree)
    yield from label_noise(tree)
    models = facts.best_first(tree)
    if not models:
        yield strange("too_few_answers", "faces", WARNING)
        return
    yield from _leads(tree)
    yield from _ensembles(tree)
    gender_best = facts.best_first(tree, "gender_accuracy")[0][0]
    for name, model in models:
        best = name == models[0][0]
        yield from _age_error(name, model, best)
        yield from by_age(name, model, best)
        yield from gender_accuracy(name, model, name == gender_best)
        yield from group_gaps(name, model, best)
        yield from coverage(name, model, best)
        yield from _confidence(name, model)
    for pair in facts.pairs(tree):
        yield from _pair(pair, alone=len(models) == 2)
    comparison = tree.get("comparison")
    if comparison and comparison["doubtful_labels"]["faces"]:
        yield finding("doubtful_labels", "doubtful labels", found=comparison["doubtful_labels"])
    yield from _training(tree)
    for name, model in tree["models"].items():
        for target in TARGETS if "saliency" in model else ():
            found = model["saliency"][target]
            yield finding(
                "saliency", f"saliency {name} {target}", model=name, target=target, found=found,
                regions=_dense_regions(found),
            )  # fmt: skip


def _cautions(tree: Node) -> Iterator[Finding]:
    data = tree["data"]
    leaks = []  # with the faces that a model learnt from, or the split that it was trained on
    for name, model in tree["models"].items():
        card = model["about"]["card"].get("data")
        split = card.get("split") if card else None
        if data["part"].value == "all":
            if model["learnt_from"]:
                leaks.append((name, model["learnt_from"]))
        elif split is not None and split.value != data["split"].value:
            leaks.append((name, split))
    if leaks:
        yield strange("leaks", "faces", WARNING + 2, leaks=leaks, data=data)
    if data["faces"].value < FEW_FACES:
        yield strange("few_faces", "faces", WARNING + 1, faces=data["faces"])
    if data["part"].value in ("validation", "train"):
        yield strange("seen_faces", "faces", WARNING, part=data["part"])


def label_noise(tree: Node) -> Iterator[Finding]:
    """Find how far the labels of identical pictures lie apart."""
    noise = tree["data"].get("label_noise")
    if noise and noise["pairs"]:
        differ = noise["mean_difference"] or noise["genders_differ"]
        yield finding("label_noise", "faces", 35 if differ else 0, noise=noise)


def _leads(tree: Node) -> Iterator[Finding]:
    for figure, importance in (("age_mae", 95), ("gender_accuracy", 65)):
        (best, _), *others = facts.best_first(tree, figure)
        pairs = [(other, facts.pair_of(tree, best, other)) for other, _ in others]
        gaps = [(other, pair["figures"][figure]) for other, pair in pairs if pair is not None]
        if gaps:
            at = "comparison" if len(others) > 1 else _place_of(facts.pairs(tree)[0])
            rank = importance if any(gap["better"] for _, gap in gaps) else 45
            yield finding("lead", at, rank, model=best, figure=figure, gaps=gaps)


def _ensembles(tree: Node) -> Iterator[Finding]:
    for name, model in tree["models"].items():
        listed = model["about"]["card"].value.get("members", ())
        members = {one.get("name") for one in listed if isinstance(one, dict)}
        shown = [
            other
            for other, theirs in facts.best_first(tree)
            if {other, str(theirs["about"]["card"].value.get("name"))} & members
        ]
        pair = facts.pair_of(tree, name, shown[0]) if shown and name not in shown else None
        if pair is not None:
            gap = pair["figures"]["age_mae"]
            yield finding("ensemble", "comparison", 85, model=name, member=shown[0], gap=gap)


def _age_error(name: str, model: Node, best: bool) -> Iterator[Finding]:
    mae, near = headline(model, "age_mae"), headline(model, "age_within_5")
    if mae is None or near is None:
        return
    half, _, nine, _ = model["mistakes"]["error_quantiles"]
    at = f"ages {name}"
    yield finding("age_error", at, 100 * best, model=name, mae=mae, half=half, nine=nine)
    exact, far = headline(model, "age_exact"), model["mistakes"]["far_off"]
    yield finding("within_years", "cumulative score", model=name, near=near, exact=exact, far=far)


def by_age(name: str, model: Node, best: bool) -> Iterator[Finding]:
    """Name the decades with the lowest and highest error, and those predicted too old or young."""
    rows = sorted(facts.decades(model), key=lambda row: facts.value(row, "age_mae"))
    if len(rows) > 1:
        low, high = (rows[place]["figures"]["age_mae"].figure for place in (0, -1))
        if low.high < high.low:
            yield finding(
                "best_and_worst_ages", "bias by age", 60 * best, model=name, best=rows[0],
                worst=rows[-1],
            )  # fmt: skip
    young, old = facts.pulled_ages(model)
    if young or old:
        yield finding("bias_by_age", "bias by age", 88 * best, model=name, young=young, old=old)


def gender_accuracy(name: str, model: Node, best: bool) -> Iterator[Finding]:
    """Find how often the gender and the age group are right, and how many errors are children."""
    right = headline(model, "gender_accuracy")
    confusion = model.get("confusion")
    if right is not None:
        yield finding(
            "gender", f"genders {name}", 90 * best, model=name, right=right,
            grown=headline(model, "gender_accuracy", "13 and older"),
            young=headline(model, "gender_accuracy", "under 13"),
            wrong=confusion and confusion["wrong_genders"],
        )  # fmt: skip
    if confusion is not None:
        yield finding("age_groups", f"age groups {name}", model=name, near=confusion["one_off"])


def group_gaps(name: str, model: Node, best: bool) -> Iterator[Finding]:
    """Find the gaps between genders and race labels, and whether they are due to age alone."""
    for breakdown in model["by_group"]:
        by = breakdown["by"].value[0]
        if len(breakdown["by"]) > 1 or by not in ("gender", "race"):
            continue
        equal = next((one for one in model["equal_ages"] if one["by"].value == by), None)
        for figure in GROUP_FIGURES:
            rows = [g for g in breakdown["groups"] if g["figures"][figure].get("gap") is not None]
            proven = [g for g in rows if g["figures"][figure]["more_than_chance"]]
            if not proven:
                continue
            remains = None if equal is None else equal["largest_gap"][figure]
            yield finding(
                "group_gap", f"{figure} by group {name}",
                best * (70 if remains and remains["more_than_chance"] else 30),
                model=name, figure=figure, by=by, attribute=facts.ATTRIBUTES[by], remains=remains,
                best=next(g for g in rows if g["figures"][figure]["gap"].value == 0),
                worst=max(proven, key=lambda g: abs(g["figures"][figure]["gap"].value)),
            )  # fmt: skip


def coverage(name: str, model: Node, best: bool) -> Iterator[Finding]:
    """Hold the coverage of the 90% interval against what it promises, also by decade."""
    seen = headline(model, "interval_coverage")
    if seen is None:
        return
    short = facts.short_intervals(facts.decades(model))
    far = bool(short) and facts.value(short[0], "interval_coverage") < FAR_BELOW
    yield finding(
        "coverage", f"coverage {name}", (75 if far else 40) * best, strange=far, model=name,
        seen=seen, holds=seen.figure.low <= PROMISE <= seen.figure.high,
        low=seen.figure.value < PROMISE, short=short[0] if short else None,
    )  # fmt: skip


def _confidence(name: str, model: Node) -> Iterator[Finding]:
    right, gender = headline(model, "gender_accuracy"), model["reliability"]["gender"]
    if right is not None:
        gap = gender["accuracy_minus_confidence"]["all"].figure
        yield finding(
            "gender_confidence", f"gender reliability {name}", model=name, right=right,
            confidence=gender["confidence"], modest=gap.low > 0, sure=gap.high < 0,
        )  # fmt: skip
    yield finding("large_errors", "surest faces", model=name, found=model["reliability"]["doubt"])


def _place_of(pair: Node) -> str:
    return f"{pair['second']} against {pair['first']}"


def _pair(pair: Node, *, alone: bool) -> Iterator[Finding]:
    at = _place_of(pair)
    for figure in GROUP_FIGURES if not alone else ():  # of two models the lead says the same
        yield finding("difference", at, pair=pair, figure=figure)
    yield finding("together", at, found=pair["together"])
    for name in (pair["first"].value, pair["second"].value):
        ahead = False
        for figure in GROUP_FIGURES:
            rows = [r for r in pair["by_group"] if r["figures"][figure]["better"].value == name]
            rows.sort(key=lambda row: -abs(facts.value(row, figure)))
            if rows:
                ahead = True
                yield finding(
                    "better_groups", f"{figure}: {at}", model=name, figure=figure,
                    other=facts.other_of(pair, name), rows=rows[:MOST_GROUPS],
                    more=len(rows) > MOST_GROUPS,
                )  # fmt: skip
        if not ahead:
            yield finding("no_better_group", f"groups: {at}", model=name)


def _training(tree: Node) -> Iterator[Finding]:
    for name, record in facts.training_records(tree):
        if record["epochs"]:
            yield finding("where_training_stood", f"loss {name}", model=name, record=record)
        if "against_best_member" in record:
            against = record["against_best_member"]
            yield finding("members", f"members {name}", model=name, against=against)
    for name, model in facts.answered(tree):
        mae, right = headline(model, "age_mae"), headline(model, "gender_accuracy")
        if model["learnt"] and mae is not None and right is not None:
            yield finding(
                "training_faces", "training faces", model=name, learnt=model["learnt"], mae=mae,
                right=right,
            )  # fmt: skip


def _dense_regions(place: Node) -> list[tuple[str, Node]]:
    dense = [
        (name, region)
        for name, region in place["regions"].items()
        if region["share"].figure.low > region["area"].value
    ]
    dense.sort(key=lambda one: -one[1]["share"].figure.value / one[1]["area"].value)
    return dense[:2]
