"""Findings about the picture files, their light and colour, and what these give away."""

from collections.abc import Iterator

from agelens.data.exploration.picture_statistics import RIM, Pixels
from agelens.data.exploration.shortcuts import Shortcuts
from agelens.data.exploration.words import counted, ends, listed, of_all, percent, upper, verb
from agelens.reports.page import Finding

_GAIN = 0.05  # share of the error of guessing that a shortcut takes away
_AUC = 0.1  # from chance
_TIMES = {"brightness": 1.15, "contrast": 1.2, "sharpness": 2.0}
"""Between the medians of two age groups, worth a sentence."""
_GREY = 0.01  # between the shares of two age groups
_RIMS = 0.01


def picture_findings(pixels: Pixels, shortcuts: Shortcuts) -> Iterator[Finding]:
    """Say what the pictures are like, and what is odd in them."""
    yield from _files(pixels)
    if pixels.measured:
        yield from _colour(pixels)
        yield from _between_bands(pixels)
        yield from _shortcuts(shortcuts)


def _files(pixels: Pixels) -> Iterator[Finding]:
    if not pixels.measured:
        yield Finding("Not one of the pictures can be read.", "strange")
        return
    if pixels.problems:
        yield Finding(
            f"{upper(counted(pixels.problems, 'picture'))} cannot be read; agelens data audit "
            f"names {verb(pixels.problems, 'it', 'them')}.", "strange"
        )  # fmt: skip
    if len(pixels.sizes) == 1:
        yield Finding(f"Every picture is {next(iter(pixels.sizes))} px.")
    if odd := pixels.pictures - pixels.square:
        every = odd == pixels.pictures
        yield Finding(
            f"{of_all(odd, pixels.pictures)} {verb(1 if every else odd)} wider than high, or "
            "higher than wide, and would be squeezed for a model: cut the faces out with agelens "
            "data align.", "strange"
        )  # fmt: skip
    if small := pixels.smaller:
        one = 1 if small == pixels.pictures else small
        yield Finding(
            f"{of_all(small, pixels.pictures)} {verb(one, 'has', 'have')} a side under 200 px and "
            f"{verb(one)} enlarged for a model: fine wrinkles are not there to be seen.", "strange"
        )  # fmt: skip


def _colour(pixels: Pixels) -> Iterator[Finding]:
    grey, measured = pixels.grey, pixels.measured
    if grey in (0, measured):
        yield Finding("Every picture is grey." if grey else "No picture is without colour.")
    else:
        text = f"{upper(counted(grey, 'picture'))} ({percent(grey / measured)}) {verb(grey)} grey"
        shares = pixels.grey_by_band
        if len(shares) > 1 and max(shares.values()) - min(shares.values()) >= _GREY:
            most, least = ends(shares)
            text += (
                f", {percent(shares[most])} in the age group {most} and {percent(shares[least])} "
                f"in {least}"
            )
        yield Finding(f"{text}. Tinted ones, such as sepia, are not counted.")
    if (black := pixels.black_rim) >= _RIMS * measured:
        yield Finding(
            f"{upper(counted(black, 'picture'))} ({percent(black / measured)}) "
            f"{verb(black, 'has', 'have')} a rim of which {percent(RIM)} or more is black: filled "
            "up where a photo ended, or a dark background."
        )


def _between_bands(pixels: Pixels) -> Iterator[Finding]:
    found = []
    for figure, times in _TIMES.items():
        medians = {band: one.p50 for band, one in pixels.by_band.get(figure, {}).items()}
        if len(medians) < 2 or min(medians.values()) <= 0:
            continue
        most, least = ends(medians)
        if medians[most] >= times * medians[least]:
            found.append(
                f"{figure} (median {medians[most]:.0f} at {most}, {medians[least]:.0f} at {least})"
            )
    if found:
        yield Finding(f"Pictures differ by age group: {listed(found)}.", "strange")


def _shortcuts(shortcuts: Shortcuts) -> Iterator[Finding]:
    mae, guess, auc = shortcuts.age_mae, shortcuts.median_guess_mae, shortcuts.gender_auc
    if mae is None or guess is None:
        return
    better = mae < guess
    age = (
        f"age is told to {mae:.1f} years on average, where a constant guess is off by {guess:.1f}"
        if better
        else f"age is told no better than by a constant guess ({guess:.1f} years)"
    )
    gender = "" if auc is None else f", and gender with an AUC of {auc:.2f} (0.5 is chance)"
    strange = mae < (1 - _GAIN) * guess or (auc is not None and auc > 0.5 + _AUC)
    after = " Part of what a model learns here may be how photos are taken." if strange else ""
    yield Finding(
        "From brightness, contrast, sharpness, colour and the black of the rim alone, without "
        f"looking at the face, {age}{gender}.{after}", "strange" if strange else "plain"
    )  # fmt: skip
