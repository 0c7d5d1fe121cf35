"""Folders of pictures with label tables: a CSV that names the pictures and labels them."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import basename, dirname, join, normpath
from typing import ClassVar, Self

from agelens.data.archives import Limits, open_file
from agelens.data.labels import Label
from agelens.data.readers.csv_files import Columns, first_rows, rows
from agelens.data.readers.reader import YOUR_TERMS, Labelled, Survey, flat_name, not_a_picture
from agelens.errors import DatasetError


@dataclass(eq=False, slots=True)
class _Row:
    table: str
    number: int
    key: str  # the picture's path as written
    label: Label | None = None
    problem: str = ""
    subject: str | None = None


class LabelTable(ABC):
    """Pictures and one or several CSV files that label them; a subclass says which."""

    name: ClassVar[str]  # of the form, a phrase
    terms = YOUR_TERMS

    @staticmethod
    @abstractmethod
    def fits(table: str, row: dict[str, str]) -> bool:
        """Return whether a CSV file with this first row is a label table of this form."""

    @classmethod
    def tables(cls, survey: Survey) -> list[str]:
        """Choose the label tables of a source of this form; none of another source."""
        return [table for table, row in first_rows(survey) if cls.fits(table, row)]

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        """Accept a source with such tables."""
        tables = cls.tables(survey) if survey.names else []  # a CSV alone has no pictures
        return cls(survey, tables) if tables else None

    def __init__(self, survey: Survey, tables: list[str]) -> None:
        self._source = survey.source
        self._tables = set(tables)
        self._exact: dict[str, _Row] = {}  # by path in the source
        self._loose: dict[str, _Row | None] = {}  # by the path as written; None if ambiguous
        for table in tables:
            self._read(survey, table)
        if not self._exact:
            raise DatasetError(
                f"{', '.join(tables)}: no row that names a picture; expected paths "
                "relative to the table"
            )
        found = {id(row) for name in survey.names if (row := self._find(name)) is not None}
        self._missing = [row for row in self._exact.values() if id(row) not in found]
        self.total = len([n for n in survey.names if n not in self._tables]) + len(self._missing)
        self.description = f"{self.name} ({', '.join(tables)}: {len(self._exact):,} rows)"

    def _read(self, survey: Survey, table: str) -> None:
        columns: Columns | None = None
        for number, values in enumerate(rows(io.BytesIO(table_content(survey, table)), table), 2):
            columns = columns or Columns.of(values)
            key = picture_key(values[columns.file or ""])
            if key in ("", "."):
                continue
            person = values[columns.person].strip() if columns.person else ""
            row = _Row(table, number, key, subject=person or None)
            try:
                row.label = columns.label(values)
            except ValueError as error:
                row.problem = f"{table} row {number}: {error}"
            before = self._exact.setdefault(join(dirname(table), key), row)
            if before is row:
                self._loose[key] = None if key in self._loose else row
            elif before.label != row.label:
                before.label = None
                first = f"{before.table} row {before.number}"
                before.problem = f"two rows that differ: {first}, {table} row {number}"
            if len(self._exact) > survey.limits.files:
                raise DatasetError(
                    f"{table!r} has over {survey.limits.files:,} rows, the limit: split the source"
                )

    def _find(self, name: str) -> _Row | None:
        parts = name.split("/")
        ends = (self._loose.get("/".join(parts[start:])) for start in range(len(parts)))
        return self._exact.get(name) or next(filter(None, ends), None)

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every file but the tables, then the rows whose pictures are missing."""
        for member in self._source.members(limits):
            if member.name in self._tables:
                continue
            name, file, label, subject = member.name, basename(member.name), None, None
            problem = not_a_picture(member)
            if row := self._find(name):
                file = flat_name(row.key if self._loose.get(row.key) is row else name)
                label, problem, subject = row.label, problem or row.problem, row.subject
            problem = problem or ("" if row else "no row in the label table") or member.problem
            yield Labelled(name, file, member.content, label, problem, subject)
        for row in self._missing:
            why = f"named in {row.table} row {row.number}, but there is no such picture"
            yield Labelled(join(dirname(row.table), row.key), basename(row.key), b"", None, why)


def picture_key(path: str) -> str:
    """Return the path of a picture as a table writes it, in one form."""
    return normpath(path.strip().replace("\\", "/")).lstrip("/")


def table_content(survey: Survey, name: str) -> bytes:
    """Return a CSV file of a source. Raises DatasetError for one over the limit."""
    if survey.source.kind != "folder":
        return survey.tables[name]
    path = survey.source.path / name
    size, limit = path.stat().st_size, survey.limits.member_bytes
    if size > limit:
        raise DatasetError(
            f"{name!r} has {size:,} bytes, over the limit of {limit:,}: split the table"
        )
    with open_file(path) as file:
        return file.read()


class FairFaceTables(LabelTable):
    """FairFace's label files: file, age as a range, gender, race."""

    expected = name = "FairFace label files"
    terms = (
        "FairFace is published under CC BY 4.0: name its makers (Kärkkäinen and Joo, WACV 2021). "
        "Its ages are ranges."
    )

    @staticmethod
    def fits(table: str, row: dict[str, str]) -> bool:
        """Return whether the ages are ranges."""
        if not ({"file", "age", "gender", "race"} <= row.keys() and row["file"]):
            return False
        return "-" in row["age"] or row["age"].strip().lower().startswith("more than")


class ImageFolder(LabelTable):
    """Hugging Face's image folders: a metadata.csv with file_name and an age."""

    expected = "a metadata.csv with file_name and age"
    name = "a Hugging Face image folder"

    @staticmethod
    def fits(table: str, row: dict[str, str]) -> bool:
        """Return whether it is such a metadata.csv."""
        named = basename(table) == "metadata.csv" and "file_name" in row
        return named and Columns.of(row).has_age


class LabelledFolder(LabelTable):
    """A folder with labels.csv, or with one other CSV file that names files and ages."""

    expected = "a labels.csv with file and age"
    name = "a folder of pictures with a label table"

    @staticmethod
    def fits(table: str, row: dict[str, str]) -> bool:
        """Return whether it names files and ages."""
        columns = Columns.of(row)
        return columns.file is not None and columns.has_age

    @classmethod
    def tables(cls, survey: Survey) -> list[str]:
        """Choose every labels.csv, or else the one table there is."""
        found = super().tables(survey)
        named = [table for table in found if basename(table) == "labels.csv"]
        return named or (found if len(found) == 1 else [])
