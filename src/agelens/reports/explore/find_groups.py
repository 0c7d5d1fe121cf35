"""Findings about gender and race, and how they lean on age."""

from collections.abc import Iterator

from agelens.data.exploration.age_bands import NOT_TOLD
from agelens.data.exploration.label_statistics import Labels
from agelens.data.exploration.words import counted, ends, listed, percent, upper, verb
from agelens.reports.page import Finding

_YEARS = 3.0  # between two medians, worth a sentence
_UNEVEN = 0.15  # between two shares, worth a sentence
_FEW = 100  # faces that a comparison may rest on
_OLD = 60  # years, the start of an age group


def group_findings(labels: Labels) -> Iterator[Finding]:
    """Say how genders and races are mixed, and where a mix goes with the age."""
    yield from _genders(labels)
    yield from _races(labels)


def _genders(labels: Labels) -> Iterator[Finding]:
    untold = labels.genders.get(NOT_TOLD, 0)
    told = {word: count for word, count in labels.genders.items() if word != NOT_TOLD}
    total = sum(told.values())
    if untold:
        some = f"{upper(counted(untold, 'face'))} {verb(untold, 'carries', 'carry')} no gender"
        yield Finding(
            f"{some if told else 'No face carries a gender'}: training and evaluation need both "
            "labels and do not take such a set.", "strange"
        )  # fmt: skip
    if len(told) == 1:
        every = "All faces are" if not untold else "All faces with a gender are"
        yield Finding(
            f"{every} labelled {next(iter(told))}: no gender can be learnt or measured here.",
            "strange",
        )
    if len(told) < 2:
        return
    women, men = labels.age_by_gender["female"], labels.age_by_gender["male"]
    text = f"{percent(women.faces / total)} are labelled female, {percent(men.faces / total)} male"
    gap = women.median - men.median
    if min(women.faces, men.faces) >= _FEW and abs(gap) >= _YEARS and not labels.ranged:
        text += (
            f"; the female ones are {'younger' if gap < 0 else 'older'}, with a median of "
            f"{women.median:.0f} years and {men.median:.0f} for the male ones"
        )
    yield Finding(f"{text}.")
    shares = _female_by_band(labels)
    most, least = ends(shares)
    if most and shares[most] - shares[least] >= _UNEVEN:
        yield Finding(
            f"Gender leans on age: {percent(shares[most])} are female in the age group {most}, "
            f"{percent(shares[least])} in {least}. A model can gain in the one by guessing from "
            "the other.", "strange"
        )  # fmt: skip


def _female_by_band(labels: Labels) -> dict[str, float]:
    women, men = labels.band_by_gender["female"], labels.band_by_gender["male"]
    both = zip(labels.bands, women, men, strict=True)
    return {band: w / (w + m) for band, w, m in both if w + m >= _FEW}


def _races(labels: Labels) -> Iterator[Finding]:
    told = {word: count for word, count in labels.races.items() if word != NOT_TOLD}
    if not told:
        yield Finding("No face carries a race label, so no figure can be broken down by it.")
        return
    total = sum(told.values())
    ordered = sorted(told, key=lambda word: -told[word])
    shares = listed([f"{word} {percent(told[word] / total)}" for word in ordered])
    untold = labels.faces - total
    without = f"; {counted(untold, 'face')} {verb(untold, 'has', 'have')} none" if untold else ""
    yield Finding(f"Race labels, for breakdowns only: {shares}{without}.")
    uneven = [] if labels.ranged else [*_medians(labels, ordered), *_oldest(labels, told)]
    if uneven:
        yield Finding(
            f"{'; '.join(uneven)}. So a comparison of errors by race is one by age too, unless "
            "ages are held equal.", "strange"
        )  # fmt: skip


def _medians(labels: Labels, races: list[str]) -> Iterator[str]:
    groups = {race: labels.age_by_race[race] for race in races}
    medians = {race: one.median for race, one in groups.items() if one.faces >= _FEW}
    old, young = ends(medians)
    if old and medians[old] - medians[young] >= _YEARS:
        yield (
            f"The median age of faces labelled {old} is {medians[old]:.0f}, of those labelled "
            f"{young} {medians[young]:.0f}"
        )


def _oldest(labels: Labels, told: dict[str, int]) -> Iterator[str]:
    late = [
        place
        for place, band in enumerate(labels.bands)
        if int(band.split("-")[0].rstrip("+")) >= _OLD
    ]
    older = {race: sum(labels.band_by_race[race][place] for place in late) for race in told}
    count = sum(older.values())
    top = max(older, key=lambda race: older[race])
    share, usual = older[top] / max(count, 1), told[top] / sum(told.values())
    if count >= _FEW and share - usual >= _UNEVEN:
        yield (
            f"of the {count:,} faces from {_OLD} years on {percent(share)} are labelled {top}, of "
            f"all faces {percent(usual)}"
        )
