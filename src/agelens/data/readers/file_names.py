"""Pictures whose file names carry the labels, in any folders: UTKFace's and FG-NET's names."""

import re
from collections.abc import Iterator
from posixpath import basename, dirname
from typing import Self

from agelens.data.archives import Limits
from agelens.data.labels import UTKFACE_TERMS, Label, is_picture, read_label
from agelens.data.readers.reader import YOUR_TERMS, Labelled, Survey, not_a_picture
from agelens.errors import BadLabel

_SHOWN_FOLDERS = 4
_FGNET = re.compile(r"(?P<subject>\d{3})A(?P<age>\d{2})[a-z]?\.(?:jpe?g|png)", re.ASCII | re.I)


class UtkFaceNames:
    """UTKFace: AGE_GENDER_RACE_TIME.jpg, as in the release and in copies of it."""

    expected = "UTKFace names (AGE_GENDER_RACE_TIME.jpg)"
    terms = UTKFACE_TERMS

    def __init__(self, survey: Survey, readable: list[str]) -> None:
        self._source, self.total = survey.source, len(survey.names)
        folders = list(dict.fromkeys(basename(dirname(name)) for name in readable))
        shown = ", ".join(folder or "top" for folder in folders[:_SHOWN_FOLDERS])
        more = f" and {len(folders) - _SHOWN_FOLDERS} more" if len(folders) > _SHOWN_FOLDERS else ""
        self.description = (
            f"UTKFace file names ({len(readable):,} files; folders: {shown or 'none'}{more})"
        )

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        """Accept a source with at least one readable name."""
        readable = [name for name in survey.names if isinstance(_utkface_label(name), Label)]
        return cls(survey, readable) if readable else None

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every file; what has no readable name comes with a problem."""
        for member in self._source.members(limits):
            found = not_a_picture(member) or _utkface_label(member.name)
            label, problem = (found, "") if isinstance(found, Label) else (None, found)
            file = basename(member.name)
            yield Labelled(member.name, file, member.content, label, problem or member.problem)


def _utkface_label(name: str) -> Label | str:
    try:
        return read_label(basename(name))
    except BadLabel as error:
        return str(error)


class FgNetNames:
    """FG-NET: 001A02.JPG is subject 001 at two years; a letter follows for one of the same age."""

    expected = "FG-NET names (001A02.JPG)"
    terms = YOUR_TERMS

    def __init__(self, survey: Survey, matching: int) -> None:
        self._source, self.total = survey.source, len(survey.names)
        self.description = f"FG-NET file names ({matching:,} files; subject and age, no gender)"

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        """Accept a source most of whose pictures have such names."""
        pictures = [name for name in survey.names if is_picture(name)]
        matching = sum(_FGNET.fullmatch(basename(name)) is not None for name in pictures)
        return cls(survey, matching) if 2 * matching > len(pictures) else None

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every file; what has no such name comes with a problem."""
        for member in self._source.members(limits):
            file, label, problem, subject = basename(member.name), None, member.problem, None
            if match := _FGNET.fullmatch(file):
                label, subject = Label(int(match["age"]), None, None), match["subject"]
            else:
                problem = f"{file!r} is no FG-NET name: expected one such as 001A02.JPG"
                problem = not_a_picture(member) or problem
            yield Labelled(member.name, file, member.content, label, problem, subject)
