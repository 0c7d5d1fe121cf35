"""Lists of 68 landmarks, as UTKFace's release has them: a line is a file name and 136 numbers.

The numbers are x and y, in pixels, of the 68 points of iBUG 300-W (Sagonas et al., 2013): jaw
0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67, all from the left of the picture. In
the release the names are those of the photos (`.jpg`), so a chip (`.jpg.chip.jpg`) finds its
points by what the names share. Blanks in a name, and tabs, commas or semicolons between the
numbers, are read too.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.utkface import photo_key
from agelens.errors import BadLabel, DatasetError

POINTS = 68
SCHEMA: dict[str, pl.DataType] = {"file": pl.String(), "points": pl.Array(pl.Float32, (POINTS, 2))}
"""The columns of `landmarks.parquet`: a name, and (68, 2) x and y in pixels."""

Shape = NDArray[np.float32]
"""The points of one face, float32 (68, 2), x and y in pixels."""

LINE_CHARACTERS = 10_000
_FURTHEST = 1e6  # pixels
_WORD = re.compile(r"[^\s,;]+")


@dataclass(frozen=True, slots=True)
class LandmarkList:
    """The content of a list; the last line of a file name counts."""

    shapes: dict[str, Shape]  # by file name, in the order of the list
    problems: list[tuple[int, str]]  # line number from 1, and what is wrong with it

    def table(self) -> pl.DataFrame:
        """Return the rows with the columns of SCHEMA."""
        points = np.stack(list(self.shapes.values())) if self.shapes else np.empty((0, POINTS, 2))
        return pl.DataFrame({"file": list(self.shapes), "points": points}, schema=SCHEMA)


def read_list(path: Path) -> LandmarkList:
    """Read a list. Raises DatasetError when it cannot be opened or no line of it is right."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            found = from_lines(_lines(stream))
    except OSError as error:
        raise DatasetError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if not found.shapes:
        first = "; line {}: {}".format(*found.problems[0]) if found.problems else ""
        raise DatasetError(
            f"no landmarks in {str(path)!r}: expected lines of a file name and 136 numbers{first}"
        )
    return found


def from_lines(lines: Iterable[str]) -> LandmarkList:
    """Read the lines of a list."""
    shapes: dict[str, Shape] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                file, shape = read_line(line)
                shapes[file] = shape
            except ValueError as error:
                problems.append((number, str(error)))
    return LandmarkList(shapes, problems)


def read_line(line: str) -> tuple[str, Shape]:
    """Read a file name and its points. Raises ValueError, saying what is wrong."""
    words = list(_WORD.finditer(line)) if len(line) <= LINE_CHARACTERS else []
    # Numbers are taken from the end, since a published name holds a blank.
    numbers = words[-2 * POINTS :]
    file = line[: numbers[0].start()].strip(" \t,;\"'") if numbers else ""
    if len(numbers) < 2 * POINTS or not file or _number(file.split()[-1]) is not None:
        raise ValueError(
            f"{len(words)} words in the line: expected a file name and {2 * POINTS} numbers"
        )
    values = [_number(word[0]) for word in numbers]
    for word, value in zip(numbers, values, strict=True):
        if value is None or abs(value) > _FURTHEST:
            raise ValueError(f"{word[0]!r} is no place in a picture: expected pixels")
    return file, np.array(values, np.float32).reshape(POINTS, 2)


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def write_line(file: str, shape: Shape) -> str:
    """Return a line of a list, to 0.01 px. Raises ValueError for another shape than (68, 2)."""
    if shape.shape != (POINTS, 2):
        raise ValueError(f"landmarks of shape {shape.shape}: expected ({POINTS}, 2)")
    numbers = (f"{value:.2f}".rstrip("0").rstrip(".") for value in shape.ravel().tolist())
    return f"{file} {' '.join(numbers)}\n"


def join(samples: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Return `samples` with a column `points`, null where the table has none for its file.

    Names are met as they are, or else by what a photo and its chip share. The order stays.
    """
    points = dict(zip(table["file"], range(len(table)), strict=True))
    keys = {key: row for name, row in points.items() if (key := _key(name)) is not None}
    rows = [
        points.get(name, keys.get(key) if (key := _key(name)) is not None else None)
        for name in samples["file"]
    ]
    found = pl.Series("row", rows, pl.UInt32)
    with_rows = samples.with_columns(found).join(
        table.select("points").with_row_index("row"), on="row", how="left", maintain_order="left"
    )
    return with_rows.drop("row")


def _key(name: str) -> str | None:
    try:
        return photo_key(Path(name).name)
    except BadLabel:
        return None


def _lines(stream: TextIO) -> Iterator[str]:
    """Yield lines; of an endless one only its beginning, which is then no right line."""
    whole = True
    while line := stream.readline(LINE_CHARACTERS + 1):
        if whole:
            yield line
        whole = line.endswith("\n")
