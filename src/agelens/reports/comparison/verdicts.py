"""Decide what is strong and weak about each model, and what would improve it.

The sentences stand in `templates/comparison/findings.jinja`.
"""

from collections.abc import Iterator
from typing import Any

from agelens.reports.comparison import facts
from agelens.reports.comparison.facts import PROMISE, QUALITIES, headline
from agelens.reports.comparison.rules import GROUP_FIGURES
from agelens.reports.numbers import Node
from agelens.reports.rendering import Finding, finding

KNOWN_WELL = 0.03  # a calibration that is known no better than this is no strength
STILL_IMPROVING = 0.02  # years of validation MAE in the last epoch
MOST_GROUPS = 3
MOST_BIASES = 2
MOST_CHILDREN = 0.5  # share of wrong genders


def find(tree: Node, name: str, model: Node) -> dict[str, list[Finding]]:
    """Find what a model does better or worse than the others, or than elsewhere."""
    rules = {"Strengths": _strengths, "Weaknesses": _weaknesses, "What to improve": _improvements}
    return {heading: list(rule(tree, name, model)) for heading, rule in rules.items()}


def _strengths(tree: Node, name: str, model: Node) -> Iterator[Finding]:
    yield from _rank(tree, name, best=True)
    groups = facts.groups_apart(model, "age_mae", less=True)
    yield from _of_groups("groups_apart", groups, less=True)
    seen, gap = headline(model, "interval_coverage"), _gender_gap(model)
    if seen is not None:
        low, high = seen.figure.low, seen.figure.high
        if high - low <= 2 * KNOWN_WELL and low <= PROMISE <= high:
            short = facts.short_intervals(model["against_rest"])
            everywhere = all(row["by"].value != "age" for row in short)
            yield finding("calibrated_intervals", seen=seen, everywhere=everywhere)
    if -KNOWN_WELL < gap.figure.low <= 0 <= gap.figure.high < KNOWN_WELL:
        yield finding("calibrated_gender", gap=gap)
    sure, *_, everyone = (row["age_mae"] for row in model["reliability"]["doubt"]["surest"])
    if sure.figure.high < everyone.figure.low:
        yield finding("ranks_its_errors", sure=sure, everyone=everyone)


def _weaknesses(tree: Node, name: str, model: Node) -> Iterator[Finding]:
    yield from _rank(tree, name, best=False)
    groups = facts.groups_apart(model, "age_mae", less=False)
    yield from _of_groups("groups_apart", groups, less=False)
    bands = [row for row in facts.biased(model["against_rest"]) if row["by"].value == "age"]
    bands.sort(key=lambda row: -abs(facts.value(row, "age_bias")))
    for row in bands[:MOST_BIASES]:
        yield finding("biased_ages", row=row, bias=row["figures"]["age_bias"])
    yield from _of_groups("wrong_genders", facts.groups_apart(model, "gender_accuracy", less=True))
    yield from _of_groups("narrow_intervals", facts.short_intervals(model["against_rest"]))
    wide, gap = _wide_intervals(model), _gender_gap(model)
    if wide is not None:
        yield finding("wide_intervals", seen=wide)
    if gap.figure.excludes_zero:
        yield finding("miscalibrated_gender", gap=gap, modest=gap.figure.low > 0)
    for breakdown in model["equal_ages"]:
        for figure in GROUP_FIGURES:
            largest = breakdown["largest_gap"][figure]
            if largest["more_than_chance"]:
                yield finding("unequal", figure=figure, gap=largest)
    if "missed" in model and model["missed"]["faces"]:
        yield finding("missed", missed=model["missed"])


def _improvements(tree: Node, name: str, model: Node) -> Iterator[Finding]:
    yield from _training(model)
    # young ages made older, old ones younger, by rising decades
    older = [facts.value(row, "age_bias") > 0 for row in facts.biased(facts.decades(model))]
    if True in older and False in older[older.index(True) :]:
        young, old = facts.pulled_ages(model)
        yield finding("pulled_to_the_middle", low=old, top=young)
    yield from _of_groups("refit_intervals", facts.short_intervals(model["against_rest"]))
    if _wide_intervals(model) is not None:
        yield finding("narrow_the_intervals")
    if _gender_gap(model).figure.excludes_zero:
        yield finding("refit_gender")
    share = model["confusion"]["wrong_genders"]["share_under_13"]
    if share.value is not None and share.value > MOST_CHILDREN:
        yield finding("children", share=share)
    rows = facts.groups_apart(model, "age_mae", less=False, by=QUALITIES)
    yield from _of_groups("pictures", rows)
    # the model with which a plain mean gains most
    gains = [p for p in _pairs_of(tree, name) if p["together"]["age_mae_gain"].figure.high < 0]
    if gains:
        pair = min(gains, key=lambda p: p["together"]["age_mae_gain"].figure.value)
        yield finding("partner", other=facts.other_of(pair, name), together=pair["together"])


def _pairs_of(tree: Node, name: str) -> list[Node]:
    return [p for p in facts.pairs(tree) if name in (p["first"].value, p["second"].value)]


def _of_groups(macro: str, rows: list[Node], **values: Any) -> Iterator[Finding]:
    if rows:
        yield finding(macro, rows=rows[:MOST_GROUPS], **values)


def _rank(tree: Node, name: str, *, best: bool) -> Iterator[Finding]:
    own = _pairs_of(tree, name)
    for figure in GROUP_FIGURES if own else ():
        winners = [pair["figures"][figure]["better"].value for pair in own]
        if all((one == name) if best else (one not in (name, None)) for one in winners):
            gaps = [(facts.other_of(pair, name), pair["figures"][figure]) for pair in own]
            yield finding("rank", figure=figure, best=best, gaps=gaps)


def _wide_intervals(model: Node) -> Node | None:
    seen = headline(model, "interval_coverage")
    return seen if seen is not None and seen.figure.low > PROMISE else None


def _gender_gap(model: Node) -> Node:
    return model["reliability"]["gender"]["accuracy_minus_confidence"]["all"]


def _training(model: Node) -> Iterator[Finding]:
    record = model["training"]
    if record and "best_epoch" in record:
        best, done = record["best_epoch"].value, record["done_epochs"].value
        if best == done and (record["last_gain"].value or 0) > STILL_IMPROVING:
            yield finding("train_longer", record=record)
        elif best < done:
            yield finding("change_the_recipe", record=record)
    mae = headline(model, "age_mae")
    if model["learnt"] and mae is not None:
        learnt = model["learnt"]["figures"]["age_mae"]
        if learnt.figure.high < mae.figure.low:
            yield finding("overfitting", learnt=learnt, seen=mae)
