"""Read CSV files as rows of text, and Kaggle's, whose rows hold pictures as text."""

import csv
import io
import math
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens.data import labels
from agelens.data.archives import Limits, open_file
from agelens.data.readers.reader import Labelled, Survey
from agelens.errors import DatasetError

LINE_BYTES = 2**20
_COLUMNS = {
    "file": ("file", "file_name", "filename", "path", "image", "img", "img_name", "image_name"),
    "age": ("age",), "low": ("age_low", "age_min", "min_age"),
    "high": ("age_high", "age_max", "max_age"), "gender": ("gender", "sex"),
    "race": ("race", "ethnicity"), "person": ("person", "person_id", "subject", "identity"),
}  # fmt: skip

_PIXELS = ("pixels", "image")
_LEAST = 16 * 16  # numbers in a row for it to be a picture


def lines(stream: IO[bytes], name: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file. Raises DatasetError for other text and endless lines."""
    for number, line in enumerate(iter(lambda: stream.readline(LINE_BYTES + 1), b""), 1):
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
    """Yield rows as lower-case column -> text, or "". Raises DatasetError for no CSV file."""
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
    person: str | None

    @classmethod
    def of(cls, names: Container[str]) -> "Columns":
        """Find the columns by their names, in lower case."""
        found = {of: next((n for n in known if n in names), None) for of, known in _COLUMNS.items()}
        return cls(**found)

    @property
    def has_age(self) -> bool:
        """Whether there is an age or a range of ages."""
        return self.age is not None or (self.low is not None and self.high is not None)

    def label(self, row: dict[str, str]) -> labels.Label:
        """Read a row. Raises ValueError, saying what is wrong."""
        gender = labels.read_gender(row[self.gender]) if self.gender else None
        race = labels.read_race(row[self.race]) if self.race else None
        if self.low and self.high and row[self.low].strip() and row[self.high].strip():
            ends = (labels.read_age(row[end]).years for end in (self.low, self.high))
            age = labels.age_range(*ends)
        elif self.age:
            age = labels.read_age(row[self.age])
        else:
            raise ValueError("no age: expected age, or age_low and age_high")
        return labels.Label(age.years, gender, race, age.low, age.high)


class PixelCsv:
    """A CSV file with the columns age, gender, ethnicity and pixels (or image), streamed."""

    expected = "a CSV of pixels"
    terms = labels.UTKFACE_TERMS

    def __init__(self, path: Path, column: str, first: str) -> None:
        self._path, self._column = path, column
        with open_file(path) as stream:
            self.total = max(0, sum(1 for line in lines(stream, path.name) if line.strip()) - 1)
        try:
            shape = pixels(first).shape
        except ValueError as error:
            raise DatasetError(f"{str(path)!r}, first row: {error}") from error
        kind = "grey" if len(shape) == 2 else "colour"
        size = f"{shape[1]} x {shape[0]} {kind}"
        self.description = f"a CSV of pixels as text ({path.name}: {self.total:,} rows of {size})"

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        """Accept a CSV file whose first row holds a picture, given itself or alone in a folder."""
        source = survey.source
        for name, row in first_rows(survey):
            for column in _PIXELS:
                text = row.get(column, "")
                if "age" in row and text.count(" ") + 1 >= _LEAST:
                    if source.kind in ("csv", "folder"):
                        path = source.path if source.kind == "csv" else source.path / name
                        return cls(path, column, text)
                    raise DatasetError(
                        f"{str(source.path)!r} holds a CSV of pixels, {basename(name)!r}: "
                        "unpack the archive and import the CSV itself"
                    )
        return None

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield a PNG for each row, named as UTKFace would where the row carries a time."""
        with open_file(self._path) as stream:
            for number, row in enumerate(rows(stream, self._path.name), 1):
                name = f"{self._path.name}/row {number:06}"
                file = _file(row, number)
                try:
                    png = io.BytesIO()
                    Image.fromarray(pixels(row.get(self._column, ""))).save(png, "PNG")
                    yield Labelled(name, file, png.getvalue(), _label(row))
                except ValueError as error:
                    yield Labelled(name, file, b"", None, str(error))


def pixels(text: str) -> NDArray[np.uint8]:
    """Read numbers 0 to 255 into uint8 (S, S) grey or (S, S, 3) RGB.

    Raises ValueError for other numbers, or a count that makes no square.
    """
    words = text.strip(" []\"'").replace(",", " ").split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        raise ValueError("pixels that are no numbers: expected 0 to 255 with spaces") from None
    if len(values) and not (values.min() >= 0 and values.max() <= 255):  # also with NaN
        raise ValueError(f"pixels from {values.min():g} to {values.max():g}: expected 0 to 255")
    for channels in (1, 3):
        side = math.isqrt(len(values) // channels)
        if side and side * side * channels == len(values):
            shape = (side, side) if channels == 1 else (side, side, 3)
            return values.reshape(shape).astype(np.uint8)
    raise ValueError(f"{len(values):,} pixel values: expected a square, grey or RGB")


def _label(row: dict[str, str]) -> labels.Label:
    age = labels.read_age(row.get("age", ""))
    gender, race = row.get("gender", "").strip(), row.get("ethnicity", row.get("race", "")).strip()
    named = labels.read_gender(gender) if gender not in ("0", "1") else labels.GENDERS[int(gender)]
    coded = race.isascii() and race.isdigit()
    known = dict(enumerate(labels.RACES)).get(int(race)) if coded else labels.read_race(race)
    return labels.Label(age.years, named, known, age.low, age.high)


def _file(row: dict[str, str], number: int) -> str:
    time = basename(row.get("img_name", "").strip()).split(".")[0]
    codes = (row.get("age", "").strip(), row.get("gender", "").strip(), row.get("ethnicity", ""))
    if time.isascii() and time.isdigit() and all(c.strip().isdigit() for c in codes):
        return f"{codes[0]}_{codes[1]}_{codes[2].strip()}_{time}.png"
    return f"row_{number:06}.png"
