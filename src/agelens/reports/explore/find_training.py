"""Findings about what the mix of faces means for training and measuring."""

from collections.abc import Iterator

from agelens.data.exploration.balance import LEAST, Balance
from agelens.data.exploration.facts import Facts
from agelens.data.exploration.words import counted, listed, percent, upper, verb
from agelens.reports.page import Finding

_SMALL = 0.1  # effect (Cramér's V, Kolmogorov-Smirnov distance) below which little follows
_UNEQUAL = 1.5  # times, from which weights are worth a thought
_MILDER = 0.1  # of all faces, by which the mild weights must keep more than the inverse ones


def training_findings(facts: Facts) -> Iterator[Finding]:
    """Say how unequal the classes are, what weights cost, and whether the splits are alike."""
    yield from _imbalance(facts)
    yield from _splits(facts.balance)
    yield from _copies(facts.balance)


def _imbalance(facts: Facts) -> Iterator[Finding]:
    labels = facts.labels
    age = next((one for one in facts.imbalance if one.by in ("age", "age range")), None)
    if age is None or labels.faces < LEAST:
        return
    if age.by == "age":
        top = labels.ages_of_half
        half = f"; {counted(top, 'age')} {verb(top, 'holds', 'hold')} half of the faces"
    else:
        half = ""
    yield Finding(
        f"The most frequent {age.by} has {counted(age.largest[1], 'face')}, the rarest "
        f"{counted(age.smallest[1], 'face')}{half}. The {age.classes} that occur are as mixed as "
        f"{age.equal_classes:.0f} equal ones would be."
    )
    if age.ratio < _UNEQUAL:
        return
    schemes = {scheme.name: scheme for scheme in age.schemes}
    inverse, mild = schemes["inverse"], schemes[facts.weights]
    why = ", a few rare labels carrying the most" if mild.share - inverse.share > _MILDER else ""
    yield Finding(
        f"Weighted by inverse frequency, {labels.faces:,} faces are worth {inverse.effective:,.0f} "
        f"equal ones ({percent(inverse.share)}){why}. By the {facts.weights} they are worth "
        f"{mild.effective:,.0f} ({percent(mild.share)}), the largest weight {mild.ratio:.1f} times "
        "the smallest: those are in weights.csv, for agelens train --downweight."
    )


def _splits(balance: Balance) -> Iterator[Finding]:
    tests = balance.tests
    if not tests:
        yield Finding(
            f"The parts of the splits are too small to be compared (under {LEAST} faces)."
        )
        return
    differing = sorted((test for test in tests if test.differs), key=lambda test: -test.effect)
    if differing:
        words = [
            f"{test.of} between {test.between} ({test.where}, effect {test.effect:.2f})"
            for test in differing
        ]
        large = differing[0].effect >= _SMALL
        yield Finding(
            f"{upper(counted(len(differing), 'comparison'))} of {len(tests)} between parts of "
            f"splits or between folds {verb(len(differing), 'shows', 'show')} more than chance, "
            f"after Holm's correction: {listed(words, 6)}. "
            f"{'That may be large enough to matter' if large else 'The effects are small'}.",
            "strange",
        )
        return
    tested = listed([of for of in ("age", "gender", "race") if of not in balance.untested], 3, "or")
    parts = [part for split in balance.splits.values() for part in split]
    means = [part.mean_age for part in parts if part.mean_age is not None]
    women = [part.female for part in parts if part.female is not None]
    gaps = f"their mean ages differ by up to {max(means) - min(means):.1f} years"
    if women and "gender" not in balance.untested:
        points = 100 * (max(women) - min(women))
        gaps += f", their shares of female faces by up to {points:.1f} points"
    yield Finding(
        f"No part of a split and no fold differs from the others by more than chance in {tested} "
        f"({counted(len(tests), 'test')}, Holm's correction). Over all parts, {gaps}."
    )


def _copies(balance: Balance) -> Iterator[Finding]:
    if crossing := balance.identical_across_folds:
        yield Finding(
            f"{upper(counted(crossing, 'file'))} {verb(crossing, 'has', 'have')} a byte-identical "
            "copy in another fold: the same photo stands on both sides of a split.", "strange"
        )  # fmt: skip
    elif balance.identical:
        yield Finding(
            f"{balance.identical:,} files have a byte-identical copy, always in the same fold. "
            "agelens data audit lists them with their conflicting labels, and near-identical "
            "photos too.", "strange"
        )  # fmt: skip
    else:
        yield Finding("No two files are byte-identical.")
