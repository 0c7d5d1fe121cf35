"""Read CSV files as rows of text, within limits: never more than one line in memory."""

import csv
import io
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import IO

from agelens.data.archives import open_file
from agelens.data.labels import Label, age_range, read_age, read_gender, read_race
from agelens.data.readers.reader import Survey
from agelens.errors import DatasetError

LINE_BYTES = 2**20
_COLUMNS = {
    "file": ("file", "file_name", "filename", "path", "image", "img", "img_name", "image_name"),
    "age": ("age",),
    "low": ("age_low", "age_min", "min_age"),
    "high": ("age_high", "age_max", "max_age"),
    "gender": ("gender", "sex"),
    "race": ("race", "ethnicity"),
}


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


def first_rows(survey: Survey) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and the first row of every CSV file of a source, where it has one."""
    single = survey.source.kind == "csv"
    for name in [survey.source.path.name] if single else survey.names:
        if name.lower().endswith(".csv"):
            path = survey.source.path if single else survey.source.path / name
            head = survey.tables.get(name, b"")
            if path.is_file():
                with open_file(path) as file:
                    head = file.read(LINE_BYTES)
            try:
                row = next(rows(io.BytesIO(head[:LINE_BYTES]), name), None)
            except DatasetError:
                continue
            if row:
                yield name, row


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
    def of(cls, names: Container[str]) -> "Columns":
        """Find the columns by their names, in lower case."""
        found = {of: next((n for n in known if n in names), None) for of, known in _COLUMNS.items()}
        return cls(**found)

    @property
    def has_age(self) -> bool:
        """Whether there is an age or a range of ages."""
        return self.age is not None or (self.low is not None and self.high is not None)

    def label(self, row: dict[str, str]) -> Label:
        """Read a row. Raises ValueError, saying what is wrong."""
        gender = read_gender(row[self.gender]) if self.gender else None
        race = read_race(row[self.race]) if self.race else None
        if self.low and self.high and row[self.low].strip() and row[self.high].strip():
            age = age_range(read_age(row[self.low]).years, read_age(row[self.high]).years)
        elif self.age:
            age = read_age(row[self.age])
        else:
            raise ValueError("no age: expected age, or age_low and age_high")
        return Label(age.years, gender, race, age.low, age.high)
