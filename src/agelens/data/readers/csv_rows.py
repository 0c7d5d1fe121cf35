"""Read CSV files as rows of text, within limits: never more than one line in memory."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agelens.data.labels import Label, age_range, read_age, read_gender, read_race
from agelens.errors import DatasetError, SourceError

LINE_BYTES = 2**20
_FILES = ("file", "file_name", "filename", "path", "image", "img", "img_name", "image_name")
_LOW = ("age_low", "age_min", "min_age")
_HIGH = ("age_high", "age_max", "max_age")
_GENDERS = ("gender", "sex")
_RACES = ("race", "ethnicity")


def open_table(path: Path) -> IO[bytes]:
    """Open a table to read. Raises SourceError, saying why, when that fails."""
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def lines(stream: IO[bytes], name: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file. Raises DatasetError for other text and endless lines."""
    number = 0
    while line := stream.readline(LINE_BYTES + 1):
        number += 1
        if len(line) > LINE_BYTES:
            raise DatasetError(
                f"{name!r} line {number} is over the limit of {LINE_BYTES:,} bytes: "
                "expected a CSV file with one row for each picture"
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{name!r} line {number} is not UTF-8 text ({error.reason}): "
                "expected a CSV file in UTF-8"
            ) from error


def rows(stream: IO[bytes], name: str) -> Iterator[dict[str, str]]:
    """Yield each row as column -> text, columns in lower case; what is missing is "".

    Raises DatasetError for what is not a CSV file.
    """
    reader = csv.reader(lines(stream, name))
    try:
        columns = [column.strip().lower() for column in next(reader, [])]
        for row in reader:
            if row:
                yield dict.fromkeys(columns, "") | dict(zip(columns, row, strict=False))
    except csv.Error as error:
        raise DatasetError(f"cannot read {name!r} line {reader.line_num}: {error}") from error


def first_row(head: bytes, name: str) -> dict[str, str]:
    """Return the first row of a CSV file from its first bytes; empty when there is none."""
    try:
        return next(rows(io.BytesIO(head), name), {})
    except DatasetError:
        return {}


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of a table's columns; None where there is no such column."""

    file: str | None
    age: str | None
    low: str | None
    high: str | None
    gender: str | None
    race: str | None

    @classmethod
    def of(cls, names: "dict[str, str] | list[str]") -> "Columns":
        """Find the columns by their names, in lower case."""

        def pick(wanted: tuple[str, ...]) -> str | None:
            return next((name for name in wanted if name in names), None)

        return cls(
            pick(_FILES), pick(("age",)), pick(_LOW), pick(_HIGH), pick(_GENDERS), pick(_RACES)
        )

    @property
    def has_age(self) -> bool:
        """Whether there is an age or a range of ages."""
        return self.age is not None or (self.low is not None and self.high is not None)

    def label(self, row: dict[str, str]) -> Label:
        """Read a row. Raises ValueError, saying what is wrong."""
        gender = read_gender(row[self.gender]) if self.gender else None
        race = read_race(row[self.race]) if self.race else None
        if self.low and self.high and row[self.low].strip() and row[self.high].strip():
            low, high = read_age(row[self.low]).years, read_age(row[self.high]).years
            age = age_range(low, high)
        elif self.age:
            age = read_age(row[self.age])
        else:
            raise ValueError("no age: expected age, or age_low and age_high")
        return Label(age.years, gender, race, age.low, age.high)
