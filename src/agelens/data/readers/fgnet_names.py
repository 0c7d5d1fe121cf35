"""FG-NET: 001A02.JPG is subject 001 at two years; a letter distinguishes pictures of one age."""

import re
from collections.abc import Iterator
from posixpath import basename
from typing import Self

from agelens.data.archives import Limits
from agelens.data.labels import Label
from agelens.data.readers.reader import YOUR_TERMS, Labelled, Survey, not_a_picture
from agelens.data.source import Source
from agelens.data.utkface import is_picture

_NAME = re.compile(r"(?P<subject>\d{3})A(?P<age>\d{2})[a-z]?\.(?:jpe?g|png)", re.ASCII | re.I)


class FgNetNames:
    """Pictures with FG-NET names."""

    expected = "FG-NET names (001A02.JPG)"
    terms = YOUR_TERMS

    def __init__(self, source: Source, total: int, matching: int) -> None:
        self._source, self.total = source, total
        self.description = f"FG-NET file names ({matching:,} files; subject and age, no gender)"

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        """Accept a source most of whose pictures have such names."""
        pictures = [name for name in survey.names if is_picture(name)]
        matching = sum(_NAME.fullmatch(basename(name)) is not None for name in pictures)
        if not matching or 2 * matching <= len(pictures):
            return None
        return cls(survey.source, len(survey.names), matching)

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every file; what has no such name comes with a problem."""
        for member in self._source.members(limits):
            file = basename(member.name)
            match = _NAME.fullmatch(file)
            problem = not_a_picture(member)
            if not problem and match is None:
                problem = f"{file!r} is no FG-NET name: expected one such as 001A02.JPG"
            label = None if match is None else Label(int(match["age"]), None, None)
            subject = None if match is None else match["subject"]
            problem = problem or member.problem
            yield Labelled(member.name, file, member.content, label, problem, subject)
