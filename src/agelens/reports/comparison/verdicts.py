"""Decide what is strong and weak about each model, and what would improve it.

The sentences stand in `templates/comparison/findings.jinja`.
"""

from collections.abc import Iterator
from functools import partial

from agelens.reports.comparison import facts
from agelens.reports.comparison.facts import PROMISE, QUALITIES, headline
from agelens.reports.comparison.rules import GROUP_FIGURES
from agelens.reports.findings import Finding, finding
from agelens.reports.traced_text import Node

KNOWN_WELL = 0.03
"""A calibration that is known no better than this is no strength."""
STILL_IMPROVING = 0.02  # years of validation MAE in the last epoch
MOST_GROUPS = 3
MOST_BIASES = 2
MOST_CHILDREN = 0.5  # share of wrong genders

_verdict = partial(finding, at="")


def strengths(tree: Node, name: str, model: Node) -> list[Finding]:
    """Return what a model does better than the others, or better than elsewhere."""
    return [
        *_rank(tree, name, best=True),
        *_groups_apart(model, less=True),
        *_calibrated_intervals(model),
        *_calibrated_gender(model),
        *_ranks_its_errors(model),
    ]


def weaknesses(tree: Node, name: str, model: Node) -> list[Finding]:
    """Return what a model does worse than the others, or worse than elsewhere."""
    return [
        *_rank(tree, name, best=False),
        *_groups_apart(model, less=False),
        *_biased_ages(model),
        *_wrong_genders(model),
        *_miscalibrated(model),
        *_unequal(model),
        *_missed(model),
    ]


def improvements(tree: Node, name: str, model: Node) -> list[Finding]:
    """Return what could be done about the weaknesses, on what evidence."""
    return [
        *_training(model),
        *_overfitting(model),
        *_pulled_to_the_middle(model),
        *_recalibration(model),
        *_children(model),
        *_pictures(model),
        *_partner(tree, name),
    ]


def _rank(tree: Node, name: str, *, best: bool) -> Iterator[Finding]:
    """Tell where a model beats all others, or is beaten by all."""
    own = [
        pair for pair in facts.pairs(tree) if name in (pair["first"].value, pair["second"].value)
    ]
    for figure in GROUP_FIGURES if own else ():
        winners = [pair["figures"][figure]["better"].value for pair in own]
        if all((one == name) if best else (one not in (name, None)) for one in winners):
            gaps = [(facts.other_of(pair, name), pair["figures"][figure]) for pair in own]
            yield _verdict("rank", figure=figure, best=best, gaps=gaps)


def _groups_apart(model: Node, *, less: bool) -> Iterator[Finding]:
    rows = facts.groups_apart(model, "age_mae", less=less)
    if rows:
        yield _verdict("groups_apart", rows=rows[:MOST_GROUPS], less=less)


def _calibrated_intervals(model: Node) -> Iterator[Finding]:
    seen = headline(model, "interval_coverage")
    if seen is None or not seen.figure.low <= PROMISE <= seen.figure.high:
        return
    if seen.figure.high - seen.figure.low <= 2 * KNOWN_WELL:
        everywhere = not any(row["by"].value == "age" for row in facts.short_intervals(model))
        yield _verdict("calibrated_intervals", seen=seen, everywhere=everywhere)


def _calibrated_gender(model: Node) -> Iterator[Finding]:
    gap = model["reliability"]["gender"]["accuracy_minus_confidence"]["all"]
    if -KNOWN_WELL < gap.figure.low <= 0 <= gap.figure.high < KNOWN_WELL:
        yield _verdict("calibrated_gender", gap=gap)


def _ranks_its_errors(model: Node) -> Iterator[Finding]:
    quarter, *_, everyone = model["reliability"]["doubt"]["surest"]
    if quarter["age_mae"].figure.high < everyone["age_mae"].figure.low:
        yield _verdict("ranks_its_errors", sure=quarter["age_mae"], everyone=everyone["age_mae"])


def _biased_ages(model: Node) -> Iterator[Finding]:
    """Name the age bands that are predicted too old or too young."""
    rows = [
        row
        for row in model["against_rest"]
        if row["by"].value == "age" and facts.excludes(row["figures"]["age_bias"], 0)
    ]
    rows.sort(key=lambda row: -abs(row["figures"]["age_bias"].figure.value))
    for row in rows[:MOST_BIASES]:
        yield _verdict("biased_ages", row=row, bias=row["figures"]["age_bias"])


def _wrong_genders(model: Node) -> Iterator[Finding]:
    rows = facts.groups_apart(model, "gender_accuracy", less=True)
    if rows:
        yield _verdict("wrong_genders", rows=rows[:MOST_GROUPS])


def _miscalibrated(model: Node) -> Iterator[Finding]:
    short = facts.short_intervals(model)
    if short:
        yield _verdict("narrow_intervals", rows=short[:MOST_GROUPS])
    seen = headline(model, "interval_coverage")
    if seen is not None and seen.figure.low > PROMISE:
        yield _verdict("wide_intervals", seen=seen)
    gap = model["reliability"]["gender"]["accuracy_minus_confidence"]["all"]
    if not gap.figure.low <= 0 <= gap.figure.high:
        yield _verdict("miscalibrated_gender", gap=gap, modest=gap.figure.low > 0)


def _unequal(model: Node) -> Iterator[Finding]:
    for breakdown in model["equal_ages"]:
        for figure in GROUP_FIGURES:
            gap = breakdown["largest_gap"][figure]
            if gap["more_than_chance"]:
                yield _verdict("unequal", figure=figure, gap=gap)


def _missed(model: Node) -> Iterator[Finding]:
    if "missed" in model and model["missed"]["faces"]:
        yield _verdict("missed", missed=model["missed"])


def _training(model: Node) -> Iterator[Finding]:
    record = model["training"]
    if not record or "best_epoch" not in record:
        return
    best, done = record["best_epoch"].value, record["done_epochs"].value
    if best == done and (record["last_gain"].value or 0) > STILL_IMPROVING:
        yield _verdict("train_longer", record=record)
    elif best < done:
        yield _verdict("change_the_recipe", record=record)


def _overfitting(model: Node) -> Iterator[Finding]:
    mae = headline(model, "age_mae")
    if model["learnt"] and mae is not None:
        learnt = model["learnt"]["figures"]["age_mae"]
        if learnt.figure.high < mae.figure.low:
            yield _verdict("overfitting", learnt=learnt, seen=mae)


def _pulled_to_the_middle(model: Node) -> Iterator[Finding]:
    """Find ages that are pulled to the middle: young ones made older, old ones younger."""
    rows = [r for r in facts.decades(model) if facts.excludes(r["figures"]["age_bias"], 0)]
    down = [row for row in rows if row["figures"]["age_bias"].figure.value < 0]
    up = [row for row in rows if row["figures"]["age_bias"].figure.value > 0]
    if up and down and _first_year(up[0]) <= _first_year(down[-1]):
        young, old = facts.pulled_ages(model)
        yield _verdict("pulled_to_the_middle", low=old, top=young)


def _first_year(row: Node) -> int:
    return int(row["group"]["decade"].value.partition("-")[0])


def _recalibration(model: Node) -> Iterator[Finding]:
    short = facts.short_intervals(model)
    if short:
        yield _verdict("refit_intervals", rows=short[:MOST_GROUPS])
    seen = headline(model, "interval_coverage")
    if seen is not None and seen.figure.low > PROMISE:
        yield _verdict("narrow_the_intervals")
    gap = model["reliability"]["gender"]["accuracy_minus_confidence"]["all"]
    if not gap.figure.low <= 0 <= gap.figure.high:
        yield _verdict("refit_gender")


def _children(model: Node) -> Iterator[Finding]:
    share = model["confusion"]["wrong_genders"]["share_under_13"]
    if share.value is not None and share.value > MOST_CHILDREN:
        yield _verdict("children", share=share)


def _pictures(model: Node) -> Iterator[Finding]:
    rows = facts.groups_apart(model, "age_mae", less=False, by=QUALITIES)
    if rows:
        yield _verdict("pictures", rows=rows[:MOST_GROUPS])


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
