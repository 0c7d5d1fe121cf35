"""UTKFace file names: the one place where its integer codes live.

A name is `[age]_[gender]_[race]_[time].jpg` or `....jpg.chip.jpg`, after the data set's own
page (Zhang, Song and Qi, CVPR 2017): age 0 to 116 in years, gender 0 male and 1 female, race
0 White, 1 Black, 2 Asian, 3 Indian, 4 Other.
"""

import re
from pathlib import Path

from agelens.data.labels import RACES, Label
from agelens.errors import BadLabel
from agelens.inference.distribution import AGES
from agelens.results import Gender

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Endings, in lower case, of the files that are taken for pictures."""

TERMS = (
    "UTKFace is for non-commercial research only. Its images are not to be redistributed; "
    "their copyright stays with their owners."
)

GENDERS = (Gender.MALE, Gender.FEMALE)
"""Genders by UTKFace code."""

# A published name has a space before the dot and another lacks the dot: both are readable.
# The free part takes only what every file system can store.
_NAME = re.compile(
    r"(?P<key>(?P<age>\d{1,3})_(?P<gender>\d)_(?P<race>\d?)_"
    r'[^./\\:*?"<>|\x00-\x20\x7f][^/\\:*?"<>|\x00-\x1f\x7f]*?)'
    r"\s?\.?(?:jpe?g|png|webp)(?:\.chip\.(?:jpe?g|png|webp))?",
    re.ASCII | re.IGNORECASE,
)
_NAME_BYTES = 240


def is_picture(name: str) -> bool:
    """Return whether a file name ends as a picture's does."""
    return name.lower().endswith(SUFFIXES)


def read_label(name: str) -> Label:
    """Read a file name (without folders).

    Raises BadLabel when age or gender cannot be read or is out of range.
    """
    match = _match(name)
    age, gender, race = int(match["age"]), int(match["gender"]), match["race"]
    if age >= AGES:
        raise BadLabel(Path(name), f"age {age}, expected 0 to {AGES - 1} years")
    if gender >= len(GENDERS):
        raise BadLabel(Path(name), f"gender {gender}, expected 0 (male) or 1 (female)")
    known = race != "" and int(race) < len(RACES)
    return Label(age, GENDERS[gender], RACES[int(race)] if known else None)


def photo_key(name: str) -> str:
    """Return what `name.jpg` and `name.jpg.chip.jpg` share. Raises BadLabel as `read_label`."""
    return _match(name)["key"].strip()


def _match(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name)
    # Undecodable bytes of an archive's names come as lone surrogates, which no table can hold.
    if match is None or len(name.encode(errors="surrogatepass")) > _NAME_BYTES:
        raise BadLabel(Path(name))
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise BadLabel(Path(name))
    return match
