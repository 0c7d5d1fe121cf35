"""Predictions as a table, JSON, JSON lines or CSV; files are written aside, then replaced."""

import csv
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agelens.errors import SourceError
from agelens.face import Prediction

COLUMNS = (
    "file", "face", "age", "age_low", "age_high", "gender", "female_probability",
    "left", "top", "right", "bottom", "detection_score", "error",
)  # fmt: skip
"""Of the CSV: one row per face, and one per input without a face or with an error."""


class Format(StrEnum):
    """What predictions are written as."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def record(prediction: Prediction) -> dict[str, Any]:
    """Give one face as plain values for JSON: years to 0.01, pixels to 0.1, shares to 1e-4."""
    low, high = prediction.age_interval
    face: dict[str, Any] = {
        "age": round(prediction.age, 2),
        "age_interval": [round(low, 2), round(high, 2)],
        "gender": prediction.gender.value,
        "female_probability": round(prediction.female_probability, 4),
        "box": None,
        "landmarks": None,
        "detection_score": None,
    }
    if prediction.box is not None:
        box = prediction.box
        face["box"] = [round(v, 1) for v in (box.left, box.top, box.right, box.bottom)]
    if prediction.landmarks is not None:
        points = prediction.landmarks.array()
        face["landmarks"] = [[round(float(x), 1), round(float(y), 1)] for x, y in points]
    if prediction.detection_score is not None:
        face["detection_score"] = round(prediction.detection_score, 4)
    return face


class Writer(ABC):
    """Takes the predictions of one picture after another, and an end."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    @abstractmethod
    def add(self, name: str, predictions: Sequence[Prediction], error: str | None = None) -> None:
        """Write what came of one input."""

    def close(self) -> None:
        """Write what belongs at the end; the stream stays open."""
        return


class JsonLines(Writer):
    """One object per input and line: {"file", "faces", "error"}."""

    def add(self, name: str, predictions: Sequence[Prediction], error: str | None = None) -> None:
        """Write one line."""
        self.stream.write(_object(name, predictions, error) + "\n")


class Json(Writer):
    """One array of the same objects, one per line."""

    _between = "[\n"

    def add(self, name: str, predictions: Sequence[Prediction], error: str | None = None) -> None:
        """Write one element."""
        self.stream.write(self._between + _object(name, predictions, error))
        self._between = ",\n"

    def close(self) -> None:
        """Close the array."""
        self.stream.write("[]\n" if self._between == "[\n" else "\n]\n")


class Csv(Writer):
    """One row per face, so that an input without a face is a row with face 0."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._rows = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        self._rows.writeheader()

    def add(self, name: str, predictions: Sequence[Prediction], error: str | None = None) -> None:
        """Write the rows of one input."""
        if not predictions:
            self._rows.writerow({"file": name, "face": 0, "error": error or ""})
        for number, prediction in enumerate(predictions, 1):
            face = record(prediction)
            low, high = face.pop("age_interval")
            box = face.pop("box")
            del face["landmarks"]
            row = {"file": name, "face": number, **face, "age_low": low, "age_high": high}
            if box is not None:
                row.update(zip(("left", "top", "right", "bottom"), box, strict=True))
            if row["detection_score"] is None:
                row["detection_score"] = ""
            self._rows.writerow(row)


class TableWriter(Writer):
    """A table for people, printed at the end."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._table = Table(header_style="bold")
        self._table.add_column("file", overflow="fold")
        for name in ("face", "age", "9 in 10", "gender", "sure", "box"):
            numeric = name not in ("gender", "9 in 10")
            self._table.add_column(name, justify="right" if numeric else "left", no_wrap=True)

    def add(self, name: str, predictions: Sequence[Prediction], error: str | None = None) -> None:
        """Add the rows of one input; errors are left to standard error."""
        if error is None and not predictions:
            self._table.add_row(Text(name), "0", "", "", "no face found", "", "")
        for number, one in enumerate(predictions, 1):
            low, high = one.age_interval
            sure = max(one.female_probability, 1 - one.female_probability)
            place = ""
            if one.box is not None:
                place = f"{one.box.width:.0f} x {one.box.height:.0f} px"
            self._table.add_row(
                Text(name if number == 1 else ""), str(number), f"{one.age:.1f}",
                f"{low:.0f} - {high:.0f}", one.gender.value, f"{sure:.0%}", place,
            )  # fmt: skip

    def close(self) -> None:
        """Print the table."""
        if self._table.row_count:
            console = Console(file=self.stream)
            if not console.is_terminal:  # a pipe or file has no width to keep to
                unbounded = console.options.update(max_width=100_000)
                needed = console.measure(self._table, options=unbounded).maximum
                console.width = max(console.width, needed)
            console.print(self._table)


def writer(form: Format, stream: IO[str]) -> Writer:
    """Give the writer of a format onto a text stream."""
    kinds: dict[Format, type[Writer]] = {
        Format.TABLE: TableWriter,
        Format.JSON: Json,
        Format.JSONL: JsonLines,
        Format.CSV: Csv,
    }
    return kinds[form](stream)


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


def _object(name: str, predictions: Sequence[Prediction], error: str | None) -> str:
    value: dict[str, Any] = {"file": name, "faces": [record(one) for one in predictions]}
    if error is not None:
        value["error"] = error
    return json.dumps(value, ensure_ascii=False)
