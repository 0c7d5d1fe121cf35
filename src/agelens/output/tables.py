"""Predictions as a table, JSON, JSON lines or CSV; files are written aside, then replaced."""

import csv
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agelens.errors import SourceError
from agelens.results import Prediction

COLUMNS = (
    "file", "face", "age", "age_low", "age_high", "gender", "female_probability",
    "status", "reasons", "doubt", "left", "top", "right", "bottom", "detection_score", "error",
)  # fmt: skip
"""Of the CSV: one row per face, and one per input without a face or with an error."""
CLIP_COLUMNS = ("frame", "time", "views", "first_frame", "last_frame", "first_time", "last_time")
"""Further ones where clips are among the inputs: `face` is then the number of a person."""
Fields: TypeAlias = Mapping[str, Any]
"""What a clip adds: to a face `person`, `views`, ...; to an input or frame `frame`, `time`, ..."""


NONE: Fields = MappingProxyType({})


class Format(StrEnum):
    """What predictions are written as."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def flat(prediction: Prediction, over: Sequence[int] = ()) -> dict[str, Any]:
    """Give one face as one row of COLUMNS, and p_over_N for each N; without value: None."""
    row = _face(prediction, over)
    row["age_low"], row["age_high"] = row.pop("age_interval")
    row["reasons"] = " ".join(row["reasons"])
    box = row.pop("box") or [None] * 4
    row.update(zip(("left", "top", "right", "bottom"), box, strict=True))
    del row["landmarks"]
    return row


class Writer(ABC):
    """Takes the predictions of one picture after another, and an end."""

    def __init__(self, stream: IO[str], over: Sequence[int] = (), clips: bool = False) -> None:
        """Write to a text stream; `over` are ages whose chances are to be given too.

        `clips` says whether clips are among the inputs, whose rows have more columns.
        """
        self.stream = stream
        self.over = over
        self.clips = clips

    @abstractmethod
    def add(
        self, name: str, predictions: Sequence[Prediction], error: str | None = None,
        about: Fields = NONE, each: Sequence[Fields] = (),
    ) -> None:  # fmt: skip
        """Write what came of one input, or of one frame of a clip.

        `about` are further fields of it, `each` those of every prediction, where there are any.
        """

    def close(self) -> None:
        """Write what belongs at the end; the stream stays open."""
        return


class JsonLines(Writer):
    """One object per input and line: {"file", "faces", "error"}."""

    def add(
        self, name: str, predictions: Sequence[Prediction], error: str | None = None,
        about: Fields = NONE, each: Sequence[Fields] = (),
    ) -> None:  # fmt: skip
        """Write one line."""
        self.stream.write(_object(name, predictions, error, self.over, about, each) + "\n")


class Json(Writer):
    """One array of the same objects, one per line."""

    _between = "[\n"

    def add(
        self, name: str, predictions: Sequence[Prediction], error: str | None = None,
        about: Fields = NONE, each: Sequence[Fields] = (),
    ) -> None:  # fmt: skip
        """Write one element."""
        self.stream.write(self._between + _object(name, predictions, error, self.over, about, each))
        self._between = ",\n"

    def close(self) -> None:
        """Close the array."""
        self.stream.write("[]\n" if self._between == "[\n" else "\n]\n")


class Csv(Writer):
    """One row per face, so that an input without a face is a row with face 0."""

    def __init__(self, stream: IO[str], over: Sequence[int] = (), clips: bool = False) -> None:
        super().__init__(stream, over, clips)
        columns = (*COLUMNS, *(CLIP_COLUMNS if clips else ()), *(f"p_over_{age}" for age in over))
        self._rows = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        self._rows.writeheader()

    def add(
        self, name: str, predictions: Sequence[Prediction], error: str | None = None,
        about: Fields = NONE, each: Sequence[Fields] = (),
    ) -> None:  # fmt: skip
        """Write the rows of one input."""
        told = {key: value for key, value in about.items() if key in CLIP_COLUMNS}
        if not predictions:
            self._rows.writerow({"file": name, "face": 0, "error": error or "", **told})
        for number, one, more in _numbered(predictions, each):
            own = {key: value for key, value in more.items() if key in CLIP_COLUMNS}
            row = {"file": name, "face": number, **flat(one, self.over), **told, **own}
            self._rows.writerow(row)


class TableWriter(Writer):
    """A table for people, printed at the end."""

    def __init__(self, stream: IO[str], over: Sequence[int] = (), clips: bool = False) -> None:
        super().__init__(stream, over, clips)
        self._placed = False  # whether any row has a box
        self._table = Table(header_style="bold")
        self._table.add_column("file", overflow="fold")
        self._table.add_column("face", justify="right", no_wrap=True)
        self._table.add_column("person, age (9 in 10)", no_wrap=True)
        self._table.add_column("gender", justify="right", no_wrap=True)
        for age in over:
            self._table.add_column(f"{age} or over", justify="right", no_wrap=True)
        if clips:
            self._table.add_column("seen", justify="right", no_wrap=True)
        self._table.add_column("status")
        self._table.add_column("box", justify="right", no_wrap=True)

    def add(
        self, name: str, predictions: Sequence[Prediction], error: str | None = None,
        about: Fields = NONE, each: Sequence[Fields] = (),
    ) -> None:  # fmt: skip
        """Add the rows of one input; errors are left to standard error."""
        if "time" in about:
            name = f"{name} at {about['time']:.2f} s"
        if error is None and not predictions:
            self._table.add_row(Text(name), "0", "no face found")
        shown = name
        for number, one, more in _numbered(predictions, each):
            sure = max(one.female_probability, 1 - one.female_probability)
            place = ""
            if one.box is not None and "views" not in more:
                place = f"{one.box.width:.0f} x {one.box.height:.0f} px"
                self._placed = True
            seen = ""
            if "views" in more:
                seen = f"{more['first_time']:.1f}-{more['last_time']:.1f} s, {more['views']} views"
            self._table.add_row(
                Text(shown), str(number), str(one),
                f"{one.gender or '?'} {sure:.0%}",
                *(f"{one.p_over(age):.0%}" for age in self.over),
                *([seen] if self.clips else []), one.remark, place,
            )  # fmt: skip
            shown = ""

    def close(self) -> None:
        """Print the table."""
        if self._table.row_count:
            if self.clips and not self._placed:
                self._table.columns.pop()  # the boxes of people change from frame to frame
            console = Console(file=self.stream)
            if not console.is_terminal:  # a pipe or file has no width to keep to
                unbounded = console.options.update(max_width=100_000)
                needed = console.measure(self._table, options=unbounded).maximum
                console.width = max(console.width, needed)
            console.print(self._table)


def writer(form: Format, stream: IO[str], over: Sequence[int] = (), clips: bool = False) -> Writer:
    """Give the writer of a format onto a text stream; see `Writer` for `over` and `clips`."""
    kinds: dict[Format, type[Writer]] = {
        Format.TABLE: TableWriter,
        Format.JSON: Json,
        Format.JSONL: JsonLines,
        Format.CSV: Csv,
    }
    return kinds[form](stream, over, clips)


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file to write that takes its name only once it is whole.

    `mode` is "w" (UTF-8 text) or "wb". After an error the old file, if any, is as it
    was. Raises SourceError where the folder cannot be written.
    """
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise SourceError(
            f"cannot write {str(path)!r}: {error.strerror or error}; expected a folder that "
            "exists and may be written"
        ) from error
    try:
        with os.fdopen(handle, mode, **text) as stream:
            yield stream
        umask = os.umask(0)
        os.umask(umask)
        Path(aside).chmod(0o666 & ~umask)  # mkstemp makes private files
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _face(prediction: Prediction, over: Sequence[int]) -> dict[str, Any]:
    chances = {f"p_over_{age}": round(prediction.p_over(age), 4) for age in over}
    return prediction.to_dict() | chances


def _numbered(
    predictions: Sequence[Prediction], each: Sequence[Fields]
) -> Iterator[tuple[int, Prediction, Fields]]:
    """Give each prediction with its number, in a clip the person's, and its further fields."""
    fields = each or [NONE] * len(predictions)
    for place, (one, more) in enumerate(zip(predictions, fields, strict=True), 1):
        yield more.get("person", place), one, more


def _object(
    name: str, predictions: Sequence[Prediction], error: str | None, over: Sequence[int],
    about: Fields, each: Sequence[Fields],
) -> str:  # fmt: skip
    faces = [dict(more) | _face(one, over) for _, one, more in _numbered(predictions, each)]
    value: dict[str, Any] = {"file": name, **about, "faces": faces}
    if error is not None:
        value["error"] = error
    return json.dumps(value, ensure_ascii=False)
