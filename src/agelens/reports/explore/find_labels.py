"""Findings about ages: how they are spread, where they heap, and what is missing."""

from collections.abc import Iterator

from agelens.data.exploration.label_statistics import Labels, Odd
from agelens.data.exploration.words import counted, listed, number, part, upper, verb
from agelens.reports.page import Finding

_MANY = 1 / 20  # share of one age from which it is worth a sentence
_GRADES = ((175, "very rough"), (125, "rough"), (110, "approximate"))
"""What censuses call ages of a Whipple's index from here (United Nations)."""
_FEW = 100  # faces
_MEASURABLE = 500  # faces beyond 90 from which these can be measured on
_VERY_OLD = 110  # years


def age_findings(labels: Labels) -> Iterator[Finding]:
    """Say what ages there are, and what is odd in them."""
    faces = upper(counted(labels.faces, "face"))
    if labels.people:
        faces += f" of {counted(labels.people, 'person', 'people')}"
    if labels.ranged:
        yield from _ranges(labels, faces)
        return
    age = labels.age
    if age.low == age.high:
        yield Finding(f"{faces}, all labelled {age.low:.0f}: no age can be learnt here.", "strange")
        return
    yield Finding(
        f"{faces}, labelled {age.low:.0f} to {age.high:.0f} years. The middle half goes from "
        f"{age.quarter:.0f} to {age.three_quarters:.0f}, the median is {age.median:.0f}. Always "
        f"saying {age.median:.0f} is wrong by {labels.median_guess_mae:.1f} years on average, "
        "which every model must beat."
    )
    yield from _heaps(labels)
    yield from _dips(labels)
    yield from _missing(labels)
    yield from _oldest(labels)


def _ranges(labels: Labels, faces: str) -> Iterator[Finding]:
    totals = [sum(column) for column in zip(*labels.band_by_gender.values(), strict=True)]
    most = max(totals)
    some = "all" if labels.ranges == labels.faces else f"{number(labels.ranges)} of them"
    yield Finding(
        f"{faces}, {some} with a range for an age: single years mean nothing here, and an error in "
        "years against the middle of a range is rough. "
        f"The most frequent age group, {labels.bands[totals.index(most)]}, holds "
        f"{part(most, labels.faces)}."
    )


def _heaps(labels: Labels) -> Iterator[Finding]:
    named = list(labels.heaps)
    top = named[0] if named else None
    if top is not None and top.faces >= _MANY * labels.faces:
        yield Finding(
            f"{top.age} is the label of {part(top.faces, labels.faces)}, {top.ratio:.1f} times as "
            "many as the ages around have.", "strange"
        )  # fmt: skip
        named.remove(top)
    favoured = [one for one in named if one.age % 5 == 0]
    if favoured:
        index = labels.whipple
        grade = next((word for least, word in _GRADES if index is not None and index >= least), "")
        text = f"Labels heap at round ages: {_times(favoured)}."
        if grade and index is not None:
            text += (
                f" From 23 to 62, ages ending in 0 or 5 are {index / 100:.2f} times as frequent as "
                f"without a favourite digit: by the rule for censuses, such ages are {grade}."
            )
        yield Finding(text, "strange")
    if others := [one for one in named if one.age % 5]:
        also = " also" if len(named) < len(labels.heaps) or favoured else ""
        yield Finding(f"Labels{also} heap at {_times(others)}.", "strange")


def _dips(labels: Labels) -> Iterator[Finding]:
    rare = sorted(labels.dips, key=lambda one: one.faces - one.around)[:6]
    if rare:
        words = [f"{one.age} ({one.faces:,} for {one.around:,.0f})" for one in rare]
        yield Finding(
            "Rare between their neighbours, with their faces and the median of the ages around: "
            f"{listed(words)}.", "strange"
        )  # fmt: skip


def _times(heaps: list[Odd]) -> str:
    ordered = sorted(heaps, key=lambda one: one.age)
    words = [f"{one.age} ({one.ratio:.1f} times the ages around)" for one in ordered[:1]]
    return listed([*words, *(f"{one.age} ({one.ratio:.1f})" for one in ordered[1:])])


def _missing(labels: Labels) -> Iterator[Finding]:
    low, high, missing = labels.age.low, labels.age.high, labels.missing
    younger = f"none is younger than {low:.0f}" if low > 0 else ""
    if len(missing) > (high - low) / 2:
        yield Finding(
            f"{len(missing)} of the {high - low + 1:.0f} ages from {low:.0f} to {high:.0f} have no "
            f"face{', and ' if younger else ''}{younger}."
        )
    elif missing:
        years = listed([str(age) for age in missing], 20, "or")
        yield Finding(
            f"Between {low:.0f} and {high:.0f} no face is labelled {years}"
            f"{', and ' if younger else ''}{younger}."
        )
    elif younger:
        yield Finding(f"{upper(younger)}; up to {high:.0f} every age is there.")
    else:
        yield Finding(f"Every age from 0 to {high:.0f} is there.")


def _oldest(labels: Labels) -> Iterator[Finding]:
    beyond, count = labels.beyond_90, sum(labels.beyond_90.values())
    if beyond:
        each = listed([f"{faces:,} at {age}" for age, faces in beyond.items()], 30)
        few = "" if count >= _MEASURABLE else " These are too few to measure a model on."
        yield Finding(f"{upper(counted(count, 'face'))} {verb(count)} older than 90: {each}.{few}")
    elif labels.faces >= _FEW:
        yield Finding("No face is older than 90.")
    old = sum(faces for age, faces in beyond.items() if age >= _VERY_OLD)
    if old:
        yield Finding(
            f"{upper(counted(old, 'face'))} {verb(old)} labelled {_VERY_OLD} or older, which "
            f"hardly anybody lives to be: look at {verb(old, 'it', 'them')}.", "strange"
        )  # fmt: skip
