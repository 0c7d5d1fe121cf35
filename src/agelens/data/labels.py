"""Labels of faces, read from words and from UTKFace's file names, whose codes live here alone.

A name is `[age]_[gender]_[race]_[time]` with `.jpg` or `.jpg.chip.jpg` (Zhang, Song and Qi, CVPR
2017): age 0 to 116 in years, gender 0 male, 1 female, race 0 White, 1 Black, 2 Asian, 3 Indian.
"""

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agelens.errors import BadLabel
from agelens.inference.distribution import AGES
from agelens.results import Gender

OLDEST = AGES - 1
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")  # in lower case, of what is taken for a picture

UTKFACE_TERMS = (
    "UTKFace is for non-commercial research only. Its images are not to be redistributed; "
    "their copyright stays with their owners."
)
GENDERS = (Gender.MALE, Gender.FEMALE)  # by UTKFace code
RACES = ("white", "black", "asian", "indian", "other")  # too; for breakdowns of errors only
# FairFace's seven groups in UTKFace's five; UTKFace counts Latino and Middle Eastern as Others.
_RACES = {
    "east asian": "asian", "southeast asian": "asian", "latino_hispanic": "other",
    "latino": "other", "hispanic": "other", "middle eastern": "other", "others": "other",
} | {race: race for race in RACES}  # fmt: skip
_GENDERS = dict.fromkeys(("female", "f", "woman", "girl"), Gender.FEMALE)
_GENDERS |= dict.fromkeys(("male", "m", "man", "boy"), Gender.MALE)
_NONE = ("", "nan", "none", "null", "na", "n/a", "unknown")
_RANGE = re.compile(r"\(?\s*(\d{1,3})\s*(?:-|–|,|to)\s*(\d{1,3})\s*\)?", re.ASCII)
_OPEN = re.compile(r"(?:more than|over|>=?)\s*(\d{1,3})|(\d{1,3})\s*\+", re.ASCII)

# A published name has a space before the dot and another lacks the dot: both are readable.
# The free part takes only what every file system can store.
_NAME = re.compile(
    r"(?P<key>(?P<age>\d{1,3})_(?P<gender>\d)_(?P<race>\d?)_"
    r'[^./\\:*?"<>|\x00-\x20\x7f][^/\\:*?"<>|\x00-\x1f\x7f]*?)'
    r"\s?\.?(?:jpe?g|png|webp)(?:\.chip\.(?:jpe?g|png|webp))?",
    re.ASCII | re.IGNORECASE,
)
_NAME_BYTES = 240


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


def is_picture(name: str) -> bool:
    """Return whether a file name ends as a picture's does."""
    return name.lower().endswith(SUFFIXES)


def read_label(name: str) -> Label:
    """Read a UTKFace file name. Raises BadLabel for an age or gender unreadable or out of range."""
    match = _match(name)
    age, gender, race = int(match["age"]), int(match["gender"]), match["race"]
    if age >= AGES:
        raise BadLabel(Path(name), f"age {age}, expected 0 to {OLDEST} years")
    if gender >= len(GENDERS):
        raise BadLabel(Path(name), f"gender {gender}, expected 0 (male) or 1 (female)")
    return Label(age, GENDERS[gender], dict(enumerate(RACES)).get(int(race or -1)))


def photo_key(name: str) -> str:
    """Return what `name.jpg` and `name.jpg.chip.jpg` share. Raises BadLabel as `read_label`."""
    return _match(name)["key"].strip()


def _match(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name)
    # Undecodable bytes of an archive's names come as lone surrogates, which no table can hold.
    surrogates = any("\ud800" <= letter <= "\udfff" for letter in name)
    if match is None or surrogates or len(name.encode()) > _NAME_BYTES:
        raise BadLabel(Path(name))
    return match


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
    years = math.nan
    with suppress(ValueError):
        years = float(words)
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


def _check(years: float, text: str) -> None:
    if not 0 <= years < AGES:
        raise ValueError(f"age {text!r}: expected 0 to {OLDEST} years")


def read_gender(text: str) -> Gender | None:
    """Read female/f/woman/girl or male/m/man/boy in any case; None where it is empty or unknown.

    Raises ValueError for other words, and for numbers: data sets number genders differently.
    """
    words = text.strip().lower()
    if words in _NONE:
        return None
    if words not in _GENDERS:
        numbered = ", since data sets number genders differently" if words.isdigit() else ""
        raise ValueError(f"gender {text!r}: expected female or male{numbered}")
    return _GENDERS[words]


def read_race(text: str) -> str | None:
    """Return one of RACES for a name that is known, such as FairFace's; None for others."""
    return _RACES.get(text.strip().lower())
