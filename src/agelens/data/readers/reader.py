"""The interface of a reader: it recognises a form of data set and yields labelled pictures."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import basename, splitext
from typing import Protocol, Self

from agelens.data.archives import Limits
from agelens.data.dataset import published_fold
from agelens.data.labels import SUFFIXES, Label, is_picture
from agelens.data.source import Member, Report, Source


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture of a source; it has a label, or a problem that rules it out."""

    name: str  # where it is in the source
    file: str  # what it is to be called in images/
    content: bytes
    label: Label | None
    problem: str = ""
    subject: str | None = None  # pictures of one person share a fold


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a source before it is read, for readers to recognise it."""

    source: Source
    names: list[str]  # of its visible files, in order
    tables: dict[str, bytes]  # the whole .csv files of an archive
    limits: Limits

    @classmethod
    def of(cls, source: Source, limits: Limits, report: Report) -> Self:
        """List a source; an archive is checked to its end. `report` gets the stage "check"."""
        survey = cls(source, [], {}, limits)
        for done, (name, table) in enumerate(source.survey(limits), 1):
            survey.names.append(name)
            if table:
                survey.tables[name] = table
            report("check", done, None)
        return survey


class Reader(Protocol):
    """Reads one form of data set."""

    expected: str  # what a source of this form has, for error messages
    description: str  # what was recognised, a phrase
    terms: str  # terms of use
    total: int  # how many `pictures` will yield

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        """Return a reader of a source that is of this form, otherwise None."""

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every file or row, always in the same order."""


YOUR_TERMS = (
    "Pictures of people: use them only as their makers and the people in them allow, and mind "
    "that the terms of a data set go with its copies."
)
_FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x20\x7f\ud800-\udfff]+')
_NAME_BYTES = 200


def flat_name(path: str, suffix: str | None = None) -> str:
    """Return a file name for a path in a source: `train/1.jpg` becomes `train_1.jpg`.

    `suffix` takes the place of the path's own. Long names keep their end. A name that the
    published folds know stays as it is, so that the picture keeps its fold.
    """
    if suffix in (None, splitext(path)[1].lower()) and published_fold(basename(path)) is not None:
        return basename(path)
    stem, own = splitext(path)
    plain = _FORBIDDEN.sub("_", stem).strip("._") or "picture"
    while len(plain.encode()) > _NAME_BYTES:
        plain = plain[1:]
    return plain + _FORBIDDEN.sub("", own if suffix is None else suffix).lower()


def not_a_picture(member: Member) -> str:
    """Return the reason why a file cannot be a picture; "" if it may be one."""
    if is_picture(member.name):
        return ""
    return f"not a picture by its name: expected {', '.join(SUFFIXES)}"
