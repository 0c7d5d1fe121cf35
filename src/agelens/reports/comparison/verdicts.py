"""Decide what is strong and weak about each model, and what would improve it.

The sentences stand in `templates/comparison/findings.jinja`.
"""

from collections.abc import Iterator
from functools import partial

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

_verdict = partial(finding, at="")


def strengths(tree: Node, name: str, model: Node) -> Iterator[Finding]:
    """Find what a model does better than the others, or better than elsewhere."""
    yield from _rank(tree, name, best=True)
    rows = facts.groups_apart(model, "age_mae", less=True)
    if rows:
        yield _verdict("groups_apart", rows=rows[:MOST_GROUPS], less=True)
    seen = headline(model, "interval_coverage")
    holds = seen is not None and seen.figure.low <= PROMISE <= seen.figure.high
    if seen is not None and holds and seen.figure.high - seen.figure.low <= 2 * KNOWN_WELL:
        everywhere = not any(row["by"].value == "age" for row in facts.short_intervals(model))
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
    rows = facts.groups_apart(model, "age_mae", less=False)
    if rows:
        yield _verdict("groups_apart", rows=rows[:MOST_GROUPS], less=False)
    for row in _biased_ages(model)[:MOST_BIASES]:
        yield _verdict("biased_ages", row=row, bias=row["figures"]["age_bias"])
    rows = facts.groups_apart(model, "gender_accuracy", less=True)
    if rows:
        yield _verdict("wrong_genders", rows=rows[:MOST_GROUPS])
    short, wide = facts.short_intervals(model), _wide_intervals(model)
    if short:
        yield _verdict("narrow_intervals", rows=short[:MOST_GROUPS])
    if wide is not None:
        yield _verdict("wide_intervals", seen=wide)
    gap = _gender_gap(model)
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
    yield from _pulled_to_the_middle(model)
    short = facts.short_intervals(model)
    if short:
        yield _verdict("refit_intervals", rows=short[:MOST_GROUPS])
    if _wide_intervals(model) is not None:
        yield _verdict("narrow_the_intervals")
    if facts.excludes(_gender_gap(model), 0):
        yield _verdict("refit_gender")
    share = model["confusion"]["wrong_genders"]["share_under_13"]
    if share.value is not None and share.value > MOST_CHILDREN:
        yield _verdict("children", share=share)
    rows = facts.groups_apart(model, "age_mae", less=False, by=QUALITIES)
    if rows:
        yield _verdict("pictures", rows=rows[:MOST_GROUPS])
    yield from _partner(tree, name)


def _rank(tree: Node, name: str, *, best: bool) -> Iterator[Finding]:
    """Tell where a model beats all others, or is beaten by all."""
    pairs = facts.pairs(tree)
    own = [pair for pair in pairs if name in (pair["first"].value, pair["second"].value)]
    for figure in GROUP_FIGURES if own else ():
        winners = [pair["figures"][figure]["better"].value for pair in own]
        if all((one == name) if best else (one not in (name, None)) for one in winners):
            gaps = [(facts.other_of(pair, name), pair["figures"][figure]) for pair in own]
            yield _verdict("rank", figure=figure, best=best, gaps=gaps)


def _biased_ages(model: Node) -> list[Node]:
    """Return the age bands that are predicted too old or too young, the largest bias first."""
    rows = [
        row
        for row in model["against_rest"]
        if row["by"].value == "age" and facts.excludes(row["figures"]["age_bias"], 0)
    ]
    return sorted(rows, key=lambda row: -abs(row["figures"]["age_bias"].figure.value))


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


def _pulled_to_the_middle(model: Node) -> Iterator[Finding]:
    """Find ages that are pulled to the middle: young ones made older, old ones younger."""
    rows = [row for row in facts.decades(model) if facts.excludes(row["figures"]["age_bias"], 0)]
    older = [row["figures"]["age_bias"].figure.value > 0 for row in rows]  # by rising decades
    if True in older and False in older and older.index(True) < _last(older, False):
        young, old = facts.pulled_ages(model)
        yield _verdict("pulled_to_the_middle", low=old, top=young)


def _last(values: list[bool], value: bool) -> int:
    return len(values) - 1 - values[::-1].index(value)


def _partner(tree: Node, name: str) -> Iterator[Finding]:
    """Name the model with which a plain mean gains most."""
    found = []
    for other in tree["models"].value:
        pair = None if other == name else facts.pair_of(tree, name, other)
        if pair is not None and pair["together"]["age_mae_gain"].figure.high < 0:
            found.append((pair["together"]["age_mae_gain"].figure.value, other, pair["together"]))
    if found:
        _, other, together = min(found, key=lambda one: one[0])
        yield _verdict("partner", other=other, together=together)
