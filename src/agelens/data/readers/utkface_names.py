"""UTKFace: AGE_GENDER_RACE_TIME.jpg, in any folders, as in the release and in copies of it."""

from collections.abc import Iterator
from posixpath import basename, dirname
from typing import Self

from agelens.data import utkface
from agelens.data.archives import Limits
from agelens.data.labels import Label
from agelens.data.readers.reader import Labelled, Survey, not_a_picture
from agelens.errors import BadLabel

_SHOWN_FOLDERS = 4


class UtkFaceNames:
    """Pictures with UTKFace names."""

    expected = "UTKFace names (AGE_GENDER_RACE_TIME.jpg)"
    terms = utkface.TERMS

    def __init__(self, survey: Survey) -> None:
        self._source, self.total = survey.source, len(survey.names)
        readable = [name for name in survey.names if isinstance(_label(name), Label)]
        folders = list(dict.fromkeys(basename(dirname(name)) for name in readable))
        shown = ", ".join(folder or "top" for folder in folders[:_SHOWN_FOLDERS])
        more = f" and {len(folders) - _SHOWN_FOLDERS} more" if len(folders) > _SHOWN_FOLDERS else ""
        self.description = (
            f"UTKFace file names ({len(readable):,} files; folders: {shown or 'none'}{more})"
        )

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        """Accept a source with at least one readable name."""
        return cls(survey) if any(isinstance(_label(n), Label) for n in survey.names) else None

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every file; what has no readable name comes with a problem."""
        for member in self._source.members(limits):
            found = not_a_picture(member) or _label(member.name)
            label, problem = (found, "") if isinstance(found, Label) else (None, found)
            file = basename(member.name)
            yield Labelled(member.name, file, member.content, label, problem or member.problem)


def _label(name: str) -> Label | str:
    """Read the label in a path, or return why there is none."""
    try:
        return utkface.read_label(basename(name))
    except BadLabel as error:
        return str(error)
