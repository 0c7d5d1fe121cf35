"""Decide what is strong and weak about each model, and what would improve it.

The sentences stand in `templates/comparison/findings.jinja`.
"""

from collections.abc import Iterator
from typing import Any

from agelens.reports.comparison import facts
from agelens.reports.comparison.facts import PROMISE, QUALITIES, headline
from agelens.reports.comparison.rules import GROUP_FIGURES
from agelens.reports.findings import Finding, finding
from agelens.reports.numbers import Node

KNOWN_WELL = 0.03
"""A calibration that is known no better than this is no strength."""
STILL_IMPROVING = 0.02  # years of validation MAE in the last epoch
MOST_GROUPS = 3
MOST_BIASES = 2
MOST_CHILDREN = 0.5  # share of wrong genders


def _verdict(macro: str, **values: Any) -> Finding:
    return finding(macro, "", **values)


def strengths(tree: Node, name: str, model: Node) -> Iterator[Finding]:
    """Find what a model does better than the others, or better than elsewhere."""
    yield from _rank(tree, name, best=True)
    yield from _of_groups(
        "groups_apart", facts.groups_apart(model, "age_mae", less=True), less=True
    )
    seen = headline(model, "interval_coverage")
    known = seen is not None and seen.figure.high - seen.figure.low <= 2 * KNOWN_WELL
    if seen is not None and known and not facts.excludes(seen, PROMISE):
        short = facts.short_intervals(model["against_rest"])
        everywhere = not any(row["by"].value == "age" for row in short)
        yield _verdict("calibrated_intervals", seen=seen, everywhere=everywhere)
    gap = _gender_gap(model)
    if -KNOWN_WELL < gap.figure.low <= 0 <= gap.figure.high < KNOWN_WELL:
        yield _verdict("calibrated_gender", gap=gap)
    sure, *_, everyone = (row["age_mae"] for row in model["reliability"]["doubt"]["surest"])
    if sure.figure.high < everyone.figure.low:
        yield _verdict("ranks_its_errors", sure=sure, everyone=everyone)


def weaknesses(tree: Node, name: str, model: Node) -> Iterator[Finding]:
    """Find what a model does worse than the others, or worse than elsewhere."""
    yield from _rank(tree, name, best=False)
    yield from _of_groups(
        "groups_apart", facts.groups_apart(model, "age_mae", less=False), less=False
    )
    bands = [row for row in facts.biased(model["against_rest"]) if row["by"].value == "age"]
    bands.sort(key=lambda row: -abs(facts.value(row, "age_bias")))
    for row in bands[:MOST_BIASES]:
        yield _verdict("biased_ages", row=row, bias=row["figures"]["age_bias"])
    yield from _of_groups("wrong_genders", facts.groups_apart(model, "gender_accuracy", less=True))
    yield from _of_groups("narrow_intervals", facts.short_intervals(model["against_rest"]))
    wide, gap = _wide_intervals(model), _gender_gap(model)
    if wide is not None:
        yield _verdict("wide_intervals", seen=wide)
    if facts.excludes(gap, 0):
        yield _verdict("miscalibrated_gender", gap=gap, modest=gap.figure.low > 0)
    for breakdown in model["equal_ages"]:
        for figure in GROUP_FIGURES:
            largest = breakdown["largest_gap"][figure]
            if largest["more_than_chance"]:
                yield _verdict("unequal", figure=figure, gap=largest)
    if "missed" in model and model["missed"]["faces"]:
        yield _verdict("missed", missed=model["missed"])


def improvements(tree: Node, name: str, model: Node) -> Iterator[Finding]:
    """Find what could be done about the weaknesses, on what evidence."""
    yield from _training(model)
    # young ages made older, old ones younger, by rising decades
    older = [facts.value(row, "age_bias") > 0 for row in facts.biased(facts.decades(model))]
    if True in older and False in older[older.index(True) :]:
        young, old = facts.pulled_ages(model)
        yield _verdict("pulled_to_the_middle", low=old, top=young)
    yield from _of_groups("refit_intervals", facts.short_intervals(model["against_rest"]))
    if _wide_intervals(model) is not None:
        yield _verdict("narrow_the_intervals")
    if facts.excludes(_gender_gap(model), 0):
        yield _verdict("refit_gender")
    share = model["confusion"]["wrong_genders"]["share_under_13"]
    if share.value is not None and share.value > MOST_CHILDREN:
        yield _verdict("children", share=share)
    rows = facts.groups_apart(model, "age_mae", less=False, by=QUALITIES)
    yield from _of_groups("pictures", rows)
    # the model with which a plain mean gains most
    gains = [
        (pair["together"]["age_mae_gain"].figure, other, pair["together"])
        for other in tree["models"].value
        if other != name and (pair := facts.pair_of(tree, name, other)) is not None
    ]
    if gains := [one for one in gains if one[0].high < 0]:
        _, other, together = min(gains, key=lambda one: one[0].value)
        yield _verdict("partner", other=other, together=together)


def _of_groups(macro: str, rows: list[Node], **values: Any) -> Iterator[Finding]:
    if rows:
        yield _verdict(macro, rows=rows[:MOST_GROUPS], **values)


def _rank(tree: Node, name: str, *, best: bool) -> Iterator[Finding]:
    """Tell where a model beats all others, or is beaten by all."""
    pairs = facts.pairs(tree)
    own = [pair for pair in pairs if name in (pair["first"].value, pair["second"].value)]
    for figure in GROUP_FIGURES if own else ():
        winners = [pair["figures"][figure]["better"].value for pair in own]
        if all((one == name) if best else (one not in (name, None)) for one in winners):
            gaps = [(facts.other_of(pair, name), pair["figures"][figure]) for pair in own]
            yield _verdict("rank", figure=figure, best=best, gaps=gaps)


def _wide_intervals(model: Node) -> Node | None:
    """Return the coverage of the intervals where it is more than promised."""
    seen = headline(model, "interval_coverage")
    return seen if seen is not None and seen.figure.low > PROMISE else None


def _gender_gap(model: Node) -> Node:
    return model["reliability"]["gender"]["accuracy_minus_confidence"]["all"]


def _training(model: Node) -> Iterator[Finding]:
    """Tell whether more epochs would help, and whether the training faces are known too well."""
    record = model["training"]
    if record and "best_epoch" in record:
        best, done = record["best_epoch"].value, record["done_epochs"].value
        if best == done and (record["last_gain"].value or 0) > STILL_IMPROVING:
            yield _verdict("train_longer", record=record)
        elif best < done:
            yield _verdict("change_the_recipe", record=record)
    mae = headline(model, "age_mae")
    if model["learnt"] and mae is not None:
        learnt = model["learnt"]["figures"]["age_mae"]
        if learnt.figure.high < mae.figure.low:
            yield _verdict("overfitting", learnt=learnt, seen=mae)
