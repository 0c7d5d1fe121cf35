"""What could be done about a model's weaknesses, and on what evidence."""

from collections.abc import Iterator

from agelens.reports.comparison.sections.certainty import PROMISE
from agelens.reports.comparison.sections.rules import MOST, apart, rows_apart, short_intervals
from agelens.reports.comparison.sections.terms import (
    QUALITIES,
    headline,
    name_of,
    pair_of,
    sure_decades,
)
from agelens.reports.traced_text import Node, Sentence, listed, say, word

STILL_IMPROVING = 0.02  # years of validation MAE in the last epoch


def improvements(tree: Node, name: str, model: Node) -> list[Sentence]:
    """Say what could be done about the weaknesses, and on what evidence."""
    return [
        *_training(model),
        *_by_heart(model),
        *_middle(model),
        *_calibration(model),
        *_children(model),
        *_pictures(model),
        *_partner(tree, name),
    ]


def _training(model: Node) -> Iterator[Sentence]:
    record = model["training"]
    if record.value is None or "best_epoch" not in record:
        return
    best, done, gain = record["best_epoch"], record["done_epochs"], record["last_gain"]
    if best.value == done.value and (gain.value or 0) > STILL_IMPROVING:
        yield say(
            "Train longer: the last of {done} epochs still lowered the validation error by {gain} "
            "years.",
            done=done.show("count"),
            gain=gain.show("plain"),
        )
    elif best.value < done.value:
        yield say(
            "More epochs of the same will not help: the validation error was lowest after epoch "
            "{best} of {done}. Change the recipe (augmentation, regularisation, learning rate).",
            best=best.show("count"),
            done=done.show("count"),
        )


def _by_heart(model: Node) -> Iterator[Sentence]:
    mae = headline(model, "age_mae")
    if model["learnt"].value is None or mae is None:
        return
    learnt = model["learnt"]["figures"]["age_mae"]
    if learnt.figure.high < mae.figure.low:
        yield say(
            "It knows its training faces better (off by {learnt} years) than new ones ({seen}): "
            "more faces, stronger augmentation or less capacity would narrow that.",
            learnt=learnt.point("years"),
            seen=mae.point("years"),
        )


def _middle(model: Node) -> Iterator[Sentence]:
    """Look for ages pulled to the middle: the youngest made older, the oldest younger."""
    rows = [r for r in sure_decades(model) if apart(r["figures"]["age_bias"], 0)]
    old = [r for r in rows if r["figures"]["age_bias"].value["value"] < 0]
    young = [r for r in rows if r["figures"]["age_bias"].value["value"] > 0]
    if not old or not young or _first(young[0]) > _first(old[-1]):
        return
    top = min(old, key=lambda r: r["figures"]["age_bias"].value["value"])
    low = max(young, key=lambda r: r["figures"]["age_bias"].value["value"])
    yield say(
        "Ages are pulled to the middle ({up} years at {young}, {down} at {old}): weigh rare ages "
        "more in training, or gather more of them.",
        up=low["figures"]["age_bias"].point("signed years"),
        young=word(low["group"]["decade"].value),
        down=top["figures"]["age_bias"].point("signed years"),
        old=word(top["group"]["decade"].value),
    )


def _first(row: Node) -> int:
    return int(row["group"]["decade"].value.partition("-")[0])


def _calibration(model: Node) -> Iterator[Sentence]:
    short = short_intervals(model)
    if short:
        yield say(
            "Fit the intervals again on validation faces with {groups} in mind.",
            groups=listed([name_of(row) for row in short[:MOST]]),
        )
    found = headline(model, "interval_coverage")
    if found is not None and found.figure.low > PROMISE:
        yield Sentence("Fit the intervals again: narrower ones would hold nine labels in ten too.")
    gap = model["reliability"]["gender"]["accuracy_minus_confidence"]["all"]
    if not gap.figure.low <= 0 <= gap.figure.high:
        yield Sentence(
            "Fit the probability of the gender again (a temperature) on validation faces."
        )


def _children(model: Node) -> Iterator[Sentence]:
    wrong = model["confusion"]["wrong_genders"]
    share = wrong["share_under_13"].value
    if share is not None and share > 0.5:
        yield say(
            "{share} of its wrong genders are children under 13, whose gender is hard to see for "
            "people too: give none for them, or only where the probability is high.",
            share=wrong["share_under_13"].show("share"),
        )


def _pictures(model: Node) -> Iterator[Sentence]:
    rows = rows_apart(model, "age_mae", less=False, kinds=QUALITIES)
    if rows:
        yield say(
            "Errors are larger for {groups}, at equal ages too: more such pictures in training, "
            "real or degraded, may help.",
            groups=listed([name_of(row) for row in rows[:MOST]]),
        )


def _partner(tree: Node, name: str) -> Iterator[Sentence]:
    """Name the model with which a plain mean gains most."""
    found = []
    for other in tree["models"].value:
        pair = None if other == name else pair_of(tree, name, other)
        if pair is not None and pair["together"]["age_mae_gain"].figure.high < 0:
            found.append((pair["together"]["age_mae_gain"].figure.value, other, pair["together"]))
    if found:
        _, other, together = min(found, key=lambda one: one[0])
        yield say(
            "Join it with {other}: the plain mean of both, untrained, is off by {mae} years, "
            "{gain} less than the better of the two.",
            other=other,
            mae=together["age_mae"].point("years"),
            gain=together["age_mae_gain"].span("years", size=True, unit=" years"),
        )
