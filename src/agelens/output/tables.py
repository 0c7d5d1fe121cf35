"""Write predictions as a table, JSON, JSON lines or CSV; files are replaced only once complete."""

import csv
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agelens.errors import SourceError
from agelens.results import Prediction

COLUMNS = (  # of the CSV: one row per face, and per input without a face or with an error
    "file", "face", "age", "age_low", "age_high", "gender", "female_probability",
    "status", "reasons", "doubt", "left", "top", "right", "bottom", "detection_score", "error",
)  # fmt: skip
CLIP_COLUMNS = ("frame", "time", "views", "first_frame", "last_frame", "first_time", "last_time")
"""Further columns if clips are among the inputs: `face` is then the number of a person."""
Fields: TypeAlias = Mapping[str, Any]
"""Fields that a clip adds: to a face `person`, `views`, ...; to an input `frame`, `time`, ..."""


class Row(NamedTuple):
    """One face of an input."""

    number: int  # from 1; in a clip the person's
    prediction: Prediction
    fields: Fields


def flat(prediction: Prediction, over: Sequence[int] = ()) -> dict[str, Any]:
    """Return one face as a row of COLUMNS, with p_over_N for each N; missing values are None."""
    row = _face(prediction, over)
    row["age_low"], row["age_high"] = row.pop("age_interval")
    row["reasons"] = " ".join(row["reasons"])
    row["left"], row["top"], row["right"], row["bottom"] = row.pop("box") or [None] * 4
    del row["landmarks"]
    return row


def _face(prediction: Prediction, over: Sequence[int]) -> dict[str, Any]:
    shares = {f"p_over_{age}": round(prediction.p_over(age), 4) for age in over}
    return prediction.to_dict() | shares


class Writer(ABC):
    """Writes the predictions of one input after another to a text stream."""

    def __init__(self, stream: IO[str], over: Sequence[int] = (), clips: bool = False) -> None:
        """Write to `stream`; `over` lists ages whose probability to be that old is added.

        `clips` says whether clips are among the inputs; their rows have more columns.
        """
        self.stream = stream
        self.over = over
        self.clips = clips

    def add(
        self, name: str, predictions: Sequence[Prediction], error: str | None = None,
        about: Fields | None = None, each: Sequence[Fields] = (),
    ) -> None:  # fmt: skip
        """Write the predictions of one input, or of one frame of a clip.

        `about` has further fields of the input, `each` further fields of every prediction.
        """
        pairs = zip(predictions, each or [{}] * len(predictions), strict=True)
        rows = [
            Row(fields.get("person", place), prediction, fields)
            for place, (prediction, fields) in enumerate(pairs, 1)
        ]
        self._write(name, rows, error, about or {})

    @abstractmethod
    def _write(self, name: str, rows: list[Row], error: str | None, about: Fields) -> None:
        """Write one input."""

    def close(self) -> None:
        """Write what belongs at the end; the stream stays open."""
        return


class JsonLines(Writer):
    """One JSON object per input and line: {"file", "faces", "error"}."""

    _before, _after = "", "\n"

    def _write(self, name: str, rows: list[Row], error: str | None, about: Fields) -> None:
        faces = [{**row.fields, **_face(row.prediction, self.over)} for row in rows]
        value = {"file": name, **about, "faces": faces}
        if error is not None:
            value["error"] = error
        self.stream.write(self._before + json.dumps(value, ensure_ascii=False) + self._after)


class Json(JsonLines):
    """One JSON array of the same objects, one per line."""

    _before, _after = "[\n", ""

    def _write(self, name: str, rows: list[Row], error: str | None, about: Fields) -> None:
        super()._write(name, rows, error, about)
        self._before = ",\n"

    def close(self) -> None:
        """Close the array."""
        self.stream.write("\n]\n" if self._before == ",\n" else "[]\n")


class Csv(Writer):
    """One row per face; an input without a face is a row with face 0."""

    def __init__(self, stream: IO[str], over: Sequence[int] = (), clips: bool = False) -> None:
        super().__init__(stream, over, clips)
        columns = (*COLUMNS, *(CLIP_COLUMNS if clips else ()), *(f"p_over_{age}" for age in over))
        # Further fields, such as the seconds of a clip, have no column.
        self._csv = csv.DictWriter(stream, columns, "", "ignore", lineterminator="\n")
        self._csv.writeheader()

    def _write(self, name: str, rows: list[Row], error: str | None, about: Fields) -> None:
        if not rows:
            self._csv.writerow({"file": name, "face": 0, "error": error or "", **about})
        for number, prediction, fields in rows:
            values = {"file": name, "face": number, **flat(prediction, self.over)}
            self._csv.writerow(values | {**about, **fields})


class TableWriter(Writer):
    """A table for people, printed at the end."""

    def __init__(self, stream: IO[str], over: Sequence[int] = (), clips: bool = False) -> None:
        super().__init__(stream, over, clips)
        self._any_box = False
        self._table = Table(header_style="bold")
        self._table.add_column("file", overflow="fold")
        self._table.add_column("face", justify="right", no_wrap=True)
        self._table.add_column("person, age (9 in 10)", no_wrap=True)
        for heading in ("gender", *(f"{age} or over" for age in over), *["seen"] * clips):
            self._table.add_column(heading, justify="right", no_wrap=True)
        self._table.add_column("status")
        self._table.add_column("box", justify="right", no_wrap=True)

    def _write(self, name: str, rows: list[Row], error: str | None, about: Fields) -> None:
        """Add the rows of one input; errors are left to standard error."""
        if "time" in about:
            name = f"{name} at {about['time']:.2f} s"
        if error is None and not rows:
            self._table.add_row(Text(name), "0", "no face found")
        for number, one, fields in rows:
            box, seen = "", ""
            if "views" in fields:
                first, last = fields["first_time"], fields["last_time"]
                seen = f"{first:.1f}-{last:.1f} s, {fields['views']} views"
            elif one.box is not None:
                box = f"{one.box.width:.0f} x {one.box.height:.0f} px"
                self._any_box = True
            shares = (f"{one.p_over(age):.0%}" for age in self.over)
            cells = (str(number), str(one), gender_words(one), *shares, *[seen] * self.clips)
            self._table.add_row(Text(name), *cells, one.remark, box)
            name = ""

    def close(self) -> None:
        """Print the table."""
        if not self._table.row_count:
            return
        if self.clips and not self._any_box:
            self._table.columns.pop()  # the boxes of people change from frame to frame
        console = Console(file=self.stream)
        if not console.is_terminal:  # a pipe or file has no width to keep to
            unbounded = console.options.update(max_width=100_000)
            needed = console.measure(self._table, options=unbounded).maximum
            console.width = max(console.width, needed)
        console.print(self._table)


def gender_words(prediction: Prediction) -> str:
    """Return the gender with its probability: "female 91%", or "? 55%" below the threshold."""
    probability = max(prediction.female_probability, 1 - prediction.female_probability)
    return f"{prediction.gender or '?'} {probability:.0%}"


WRITERS: dict[str, type[Writer]] = {  # by name: a new format is a `Writer` and a line here
    "table": TableWriter, "json": Json, "jsonl": JsonLines, "csv": Csv,
}  # fmt: skip


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file for writing that replaces `path` only once it is complete.

    `mode` is "w" (UTF-8 text) or "wb". After an error the old file, if any, is unchanged.
    Raises SourceError if the folder cannot be written to.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        stream = aside.open(mode, **text)
    except OSError as error:
        raise SourceError(
            f"cannot write {str(path)!r}: {error.strerror or error}; expected a folder that "
            "exists and may be written"
        ) from error
    try:
        with stream:
            yield stream
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
