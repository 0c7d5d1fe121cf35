"""Read labels of faces from words: an age or a range of ages, gender and race."""

import math
import re
from dataclasses import dataclass

from agelens.inference.distribution import AGES
from agelens.results import Gender

OLDEST = AGES - 1
RACES = ("white", "black", "asian", "indian", "other")
"""Race names by UTKFace code; for breakdowns of errors only, never predicted."""

# FairFace's seven groups in UTKFace's five; UTKFace counts Latino and Middle Eastern as Others.
_RACES = {
    "east asian": "asian", "southeast asian": "asian", "latino_hispanic": "other",
    "latino": "other", "hispanic": "other", "middle eastern": "other", "others": "other",
} | {race: race for race in RACES}  # fmt: skip
_GENDERS = dict.fromkeys(("female", "f", "woman", "girl"), Gender.FEMALE) | dict.fromkeys(
    ("male", "m", "man", "boy"), Gender.MALE
)
_RANGE = re.compile(r"\(?\s*(\d{1,3})\s*(?:-|–|,|to)\s*(\d{1,3})\s*\)?", re.ASCII)
_OPEN = re.compile(r"(?:more than|over|>=?)\s*(\d{1,3})|(\d{1,3})\s*\+", re.ASCII)
_NONE = ("", "nan", "none", "null", "na", "n/a", "unknown")


@dataclass(frozen=True, slots=True)
class Label:
    """The labels of a face in its source."""

    age: int  # years, 0 to 116; of a range its middle, rounded down; of an open one its start
    gender: Gender | None  # None where the source has none
    race: str | None  # one of RACES; None where it is empty or unknown
    age_low: int | None = None  # years, where the source gives a range
    age_high: int | None = None  # years, included


@dataclass(frozen=True, slots=True)
class Age:
    """An age in years, or a range with both ends included."""

    years: int
    low: int | None = None
    high: int | None = None


def read_age(text: str) -> Age:
    """Read "26", "26.7" (completed years), "3-9", "(25, 32)", "more than 70" or "70+".

    Raises ValueError, saying what was expected, for anything else or out of range.
    """
    words = text.strip().lower()
    if match := _RANGE.fullmatch(words):
        return age_range(int(match[1]), int(match[2]))
    if match := _OPEN.fullmatch(words):
        low = int(match[1] or match[2])
        _check(low, text)
        return Age(low, low, OLDEST)
    try:
        years = float(words)
    except ValueError:
        years = math.nan
    if not math.isfinite(years):
        raise ValueError(f"age {text!r}: expected whole years or a range such as 20-29")
    _check(years, text)
    return Age(int(years))


def age_range(low: int, high: int) -> Age:
    """Make a range. Raises ValueError when it is empty or out of range."""
    _check(low, f"{low}-{high}")
    if high < low:
        raise ValueError(f"age range {low}-{high}: expected the lower end first")
    high = min(high, OLDEST)
    return Age((low + high) // 2, low, high)


def read_gender(text: str) -> Gender | None:
    """Read female/f/woman/girl or male/m/man/boy in any case; None where it is empty or unknown.

    Raises ValueError for other words, and for numbers: data sets number genders differently.
    """
    words = text.strip().lower()
    if words in _NONE:
        return None
    try:
        return _GENDERS[words]
    except KeyError:
        raise ValueError(
            f"gender {text!r}: expected female or male"
            + (", since data sets number genders differently" if words.isdigit() else "")
        ) from None


def read_race(text: str) -> str | None:
    """Return one of RACES for a name that is known, such as FairFace's; None for others."""
    return _RACES.get(text.strip().lower())


def _check(years: float, text: str) -> None:
    if not 0 <= years < AGES:
        raise ValueError(f"age {text!r}: expected 0 to {OLDEST} years")
