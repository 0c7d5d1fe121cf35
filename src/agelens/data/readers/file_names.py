"""Forms whose labels stand in the file names: UTKFace and FG-NET."""

import re
from collections.abc import Iterator
from posixpath import basename, dirname

from agelens.data import utkface
from agelens.data.archives import Limits
from agelens.data.labels import Label
from agelens.data.readers.reader import YOUR_TERMS, Labelled, Survey
from agelens.data.source import Member, Origin
from agelens.errors import BadLabel

_FGNET = re.compile(r"(?P<subject>\d{3})A(?P<age>\d{2})[a-z]?\.(?:jpe?g|png)", re.ASCII | re.I)
_SHOWN_FOLDERS = 4


class UtkFaceNames:
    """AGE_GENDER_RACE_TIME.jpg, in any folders: the release's, Kaggle's with crop_part1..."""

    terms = utkface.TERMS

    def __init__(self, survey: Survey) -> None:
        self._origin = survey.origin
        self.total = len(survey.names)
        readable = [name for name in survey.names if _is_utkface(name)]
        folders = list(dict.fromkeys(basename(dirname(name)) for name in readable))
        shown = ", ".join(folder or "top" for folder in folders[:_SHOWN_FOLDERS])
        more = f" and {len(folders) - _SHOWN_FOLDERS} more" if len(folders) > _SHOWN_FOLDERS else ""
        self.said = (
            f"UTKFace file names ({len(readable):,} files; folders: {shown or 'none'}{more})"
        )

    @classmethod
    def recognise(cls, survey: Survey) -> "UtkFaceNames | None":
        """Take a source with at least one readable name."""
        return cls(survey) if any(map(_is_utkface, survey.names)) else None

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every file; what has no readable name comes with a problem."""
        for member in self._origin.members(limits):
            file = basename(member.name)
            problem = not_a_picture(member)
            label = None
            if not problem:
                try:
                    label = utkface.read_label(file)
                except BadLabel as error:
                    problem = str(error)
            yield Labelled(member.name, file, member.content, label, problem or member.problem)


class FgNetNames:
    """001A02.JPG: subject 001 at two years; a letter tells pictures of one age apart."""

    terms = YOUR_TERMS

    def __init__(self, origin: Origin, total: int, matching: int) -> None:
        self._origin = origin
        self.total = total
        self.said = f"FG-NET file names ({matching:,} files; subject and age, no gender)"

    @classmethod
    def recognise(cls, survey: Survey) -> "FgNetNames | None":
        """Take a source most of whose pictures have such names."""
        pictures = [name for name in survey.names if utkface.is_picture(name)]
        matching = sum(_FGNET.fullmatch(basename(name)) is not None for name in pictures)
        if not matching or 2 * matching <= len(pictures):
            return None
        return cls(survey.origin, len(survey.names), matching)

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every file; what has no such name comes with a problem."""
        for member in self._origin.members(limits):
            file = basename(member.name)
            match = _FGNET.fullmatch(file)
            problem = not_a_picture(member)
            if not problem and match is None:
                problem = f"{file!r} is no FG-NET name: expected one such as 001A02.JPG"
            label = None if match is None else Label(int(match["age"]), None, None)
            subject = None if match is None else match["subject"]
            problem = problem or member.problem
            yield Labelled(member.name, file, member.content, label, problem, subject)


def not_a_picture(member: Member) -> str:
    """Give the reason why a file cannot be a picture; "" if it may be one."""
    if utkface.is_picture(member.name):
        return ""
    return f"not a picture by its name: expected {', '.join(utkface.SUFFIXES)}"


def _is_utkface(name: str) -> bool:
    try:
        utkface.read_label(basename(name))
    except BadLabel:
        return False
    return True
