"""Cut the faces of pictures into aligned chips, as UTKFace has them, with five landmarks each.

The folder has chips/ (with the label tables of the source, such as labels.csv), chips.csv (where
each face was), rejects.csv and, written last, align.json.
"""

import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from posixpath import dirname, join, relpath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens.data import storage
from agelens.data.archives import Limits
from agelens.data.landmarks import Predictor
from agelens.data.quality import geometry
from agelens.data.readers.csv_files import Columns, first_rows, rows
from agelens.data.readers.label_table import picture_key, table_content
from agelens.data.readers.reader import Survey, not_a_picture
from agelens.data.source import Member, Report, Source
from agelens.errors import DatasetError, PictureError, SourceError
from agelens.faces.alignment import SIDE, TEMPLATE, similarity
from agelens.faces.detector import Detector
from agelens.faces.pipeline import prefetch
from agelens.images import decode
from agelens.images.resample import cut
from agelens.results import Landmarks

COLUMNS = (  # of chips.csv: box and points in pixels of the picture; face 1 is the largest
    "chip", "picture", "face", "detection_score", "left", "top", "right", "bottom",
    "right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y", "nose_x", "nose_y",
    "right_mouth_x", "right_mouth_y", "left_mouth_x", "left_mouth_y",
)  # fmt: skip
QUALITY = 95
PADDING = 0.2  # of dlib's template, on each side
LOOKS = 2  # the second, on the chip that the first gives, halves what is left
FURTHEST = 40.0  # pixels of the chip: an eye that moves further was not an eye
_AHEAD = 16
_BYTES_AHEAD = 2**27  # read but not yet stored


class Cutter:
    """Cuts chips as UTKFace's were cut; safe to use from several threads.

    The five landmarks of the detector move by some pixels with a face's size and turn, so they give
    a first chip only. On it dlib finds 68 landmarks, and computes its own chip from these. With a
    padding of 0.2 that is the very chip on UTKFace's own (median over 60 chips, to 0.3 px).
    """

    def __init__(self) -> None:
        """Load dlib's predictor. Raises MissingExtra where it is not installed."""
        self._predictor = Predictor()

    def cut(self, picture: decode.Picture, landmarks: Landmarks) -> decode.Picture:
        """Cut the chip, uint8 (200, 200, 3), of a face in RGB uint8 (H, W, 3), by its five points.

        It is cut in one resampling, and black beyond the picture's edges.
        """
        return cut(picture, self.place(picture, landmarks)[:2], SIDE)

    def place(self, picture: decode.Picture, landmarks: Landmarks) -> NDArray[np.float64]:
        """Return the matrix (3, 3) from chip to picture.

        It is that of the five points alone where the 68 are far from them, as on a face that dlib
        does not make out.
        """
        inverse = np.linalg.inv(_square(similarity(landmarks.array(), TEMPLATE)))
        back = first = np.asarray(inverse, np.float64)
        for _ in range(LOOKS):
            shape = self._predictor.shape(cut(picture, back[:2], SIDE))
            back = back @ _to_chip_before(shape)
        eyes = np.column_stack([TEMPLATE[:2], np.ones(2)])
        moved = eyes @ (np.linalg.inv(first) @ back).T
        near = np.linalg.norm(moved[:, :2] - TEMPLATE[:2], axis=1).max() <= FURTHEST
        return back if near else first


def _to_chip_before(shape: object) -> NDArray[np.float64]:
    """Return the matrix (3, 3) from dlib's chip to the picture that its points were found in."""
    import dlib

    details = dlib.get_face_chip_details(shape, SIDE, PADDING)
    box, angle = details.rect, details.angle
    scale = (box.right() - box.left()) / (SIDE - 1)  # dlib lays pixel centres on the box's sides
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    middle = np.array([box.left() + box.right(), box.top() + box.bottom()]) / 2
    linear = np.array([[c, -s], [s, c]])
    return _square(np.column_stack([linear, middle - linear @ np.full(2, (SIDE - 1) / 2)]))


def _square(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([matrix, [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Entry(storage.JournalEntry):
    """The outcome of one picture: a row of chips.csv for each chip, or a reason for none."""

    picture: str
    rows: list[list[Any]] = field(default_factory=list)
    reason: str | None = None

    def is_stored(self, folder: Path) -> bool:
        """Return whether all its chips stand in the folder."""
        return all((folder / row[0]).is_file() for row in self.rows)


@dataclass(frozen=True, slots=True)
class Alignment:
    """The outcome of an alignment."""

    pictures: int  # all that were looked at
    chips: int
    rejects: int
    before: int  # pictures that an earlier, interrupted run had done
    already: bool  # everything was done; nothing was changed


def align_pictures(
    source: Path, dest: Path, *, every: bool = False, workers: int | None = None,
    detector: Detector | None = None, report: Report = lambda stage, done, total: None,
) -> Alignment:  # fmt: skip
    """Cut the main (largest) face of every picture, or with `every` all its faces, into chips.

    SOURCE is a folder or an archive. A second run does nothing, an interrupted one goes on.
    Raises SourceError for a missing source, ArchiveRefused, and DatasetError for a DEST that
    holds other things or a source without a face.
    """
    with storage.resumable(dest):
        origin = Source.open(source)
        if origin.kind in ("csv", "parquet"):
            raise DatasetError(
                f"{str(source)!r} holds no files: expected a folder or archive of pictures"
            )
        if dest.resolve() == source.resolve() or source.resolve() in dest.resolve().parents:
            raise SourceError(f"{str(dest)!r} lies in the source: choose a folder apart")
        faces = "all" if every else "main"
        about = {"source": origin.path.name, "sha256": origin.sha256, "faces": faces}
        if finished := _finished(dest, about):
            return finished
        survey = Survey.of(origin, Limits(), report)
        total, tables = len(survey.names), _label_tables(survey)
        check = partial(_check_same, dest, about)
        journal = storage.Journal(dest / ".align", dest / "chips", Entry, about, check)
        before = len(journal.entries)
        with closing(journal):
            report("align", before, total)
            align = partial(_align, detector=detector or Detector(), cutter=Cutter(), every=every)
            for count in _align_all(origin.members(Limits()), journal, align, workers):
                report("align", count, total)
        _write_tables(dest, about, journal, tables)
        journal.remove()
        if finished := _finished(dest, about):
            return replace(finished, before=before, already=False)
        raise DatasetError(f"{str(dest)!r} changed meanwhile: run the same command again")


def chip_name(picture: str, face: int) -> str:
    """Name a chip after its picture, as UTKFace does; further faces cannot pass for labelled."""
    folder, slash, name = picture.rpartition("/")
    first = f"face{face}_of_" if face > 1 else ""
    return f"{folder}{slash}{first}{name.removesuffix('.chip.jpg')}.chip.jpg"


def _finished(dest: Path, about: dict[str, str]) -> Alignment | None:
    if not storage.is_finished(dest, "align.json", ".align"):
        return None
    file = dest / "align.json"
    facts = storage.read_object(file)
    try:
        pictures, chips, rejects = (int(facts[name]) for name in ("pictures", "chips", "rejects"))
    except (ValueError, KeyError, TypeError) as error:
        why = f"cannot read {str(file)!r}: delete the folder and align again"
        raise DatasetError(why) from error
    _check_same(dest, about, facts)
    return Alignment(pictures, chips, rejects, before=0, already=True)


def _check_same(dest: Path, about: dict[str, str], facts: Mapping[str, Any]) -> None:
    if any(facts.get(name) != about[name] for name in ("sha256", "faces")):
        raise DatasetError(
            f"{str(dest)!r} holds chips of {facts.get('source')!r} ({facts.get('faces')} faces), "
            f"not of {about['source']!r} ({about['faces']} faces) as it is now: "
            "choose another folder, or delete this one"
        )


def _align_all(
    members: Iterable[Member], journal: storage.Journal[Entry],
    align: "partial[tuple[Entry, list[bytes]]]", workers: int | None,
) -> Iterator[int]:  # fmt: skip
    taken = {row[0] for entry in journal.entries.values() for row in entry.rows}
    new = (item for item in enumerate(members) if item[0] not in journal.entries)
    aligned = prefetch(
        lambda item: align(*item), new, workers or os.cpu_count() or 1, "align",
        ahead=_AHEAD, size=lambda item: len(item[1].content), max_size=_BYTES_AHEAD,
    )  # fmt: skip
    for entry, chips in aligned:
        if any(row[0] in taken for row in entry.rows):
            journal.add(Entry(entry.number, entry.picture, reason="its name is taken"))
        else:
            taken.update(row[0] for row in entry.rows)
            journal.add(entry, {row[0]: chip for row, chip in zip(entry.rows, chips, strict=True)})
        yield len(journal.entries)


def _align(
    number: int, member: Member, *, detector: Detector, cutter: Cutter, every: bool
) -> tuple[Entry, list[bytes]]:
    try:
        if problem := not_a_picture(member) or member.problem:
            return Entry(number, member.name, reason=problem), []
        picture = decode.read(member.content)
    except PictureError as error:
        return Entry(number, member.name, reason=str(error)), []
    rows, chips = list[list[Any]](), []
    for place, face in enumerate(detector.detect(picture)[: None if every else 1], 1):
        pixels = [round(value, 2) for value in geometry(face).tolist()]
        name, score = chip_name(member.name, place), round(face.score, 4)
        rows.append([name, member.name, place, score, *pixels])
        file = io.BytesIO()
        chip = Image.fromarray(cutter.cut(picture, face.landmarks))
        chip.save(file, "JPEG", quality=QUALITY, subsampling=0)
        chips.append(file.getvalue())
    return Entry(number, member.name, rows, None if rows else "no face found"), chips


def _label_tables(survey: Survey) -> dict[str, list[dict[str, str]]]:
    return {
        name: list(rows(io.BytesIO(table_content(survey, name)), name))
        for name, row in first_rows(survey)
        if Columns.of(row).file
    }


def _write_labels(folder: Path, name: str, labels: list[dict[str, str]], done: list[Entry]) -> None:
    here, column = dirname(name), Columns.of(labels[0]).file or ""
    chips = {one.picture: row[0] for one in done for row in one.rows if row[2] == 1}
    carried = [
        row | {column: relpath(chips[picture], here or ".")}
        for row in labels
        if (picture := join(here, picture_key(row[column]))) in chips
    ]
    if carried:
        (folder / here).mkdir(parents=True, exist_ok=True)
        storage.write_csv(folder / name, tuple(labels[0]), [row.values() for row in carried])


def _write_tables(
    dest: Path, about: dict[str, str], journal: storage.Journal[Entry],
    tables: dict[str, list[dict[str, str]]],
) -> None:  # fmt: skip
    entries = [journal.entries[number] for number in sorted(journal.entries)]
    done = [entry for entry in entries if entry.picture not in tables]
    chips = [row for one in done for row in one.rows]
    rejects = [(one.picture, one.reason) for one in done if one.reason is not None]
    if not chips:
        first = f", the first: {rejects[0][0]!r}, {rejects[0][1]}" if rejects else ""
        raise DatasetError(
            f"no face in {about['source']!r}: {len(rejects)} files rejected{first}; expected "
            "photos in which a face is seen"
        )
    facts = about | {"pictures": len(done), "chips": len(chips), "rejects": len(rejects)}
    for name, labels in tables.items():
        _write_labels(dest / "chips", name, labels, done)
    storage.write_csv(dest / "chips.csv", COLUMNS, chips)
    storage.write_csv(dest / "rejects.csv", ("file", "reason"), rejects)
    storage.write_json(dest / "align.json", facts)
