"""Cut the faces of pictures into aligned chips, as UTKFace has them, with five landmarks each.

The output folder holds chips/ (the pictures' own names with `.chip.jpg`), chips.csv (where each
face was), rejects.csv (file, reason) and align.json, written last.
"""

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from agelens.data.archives import Limits
from agelens.data.atomic_files import resumable, write_atomic, write_csv
from agelens.data.dlib_alignment import Cutter
from agelens.data.journal import Journal
from agelens.data.readers.reader import not_a_picture
from agelens.data.source import Member, Source
from agelens.errors import DatasetError, PictureError, SourceError
from agelens.faces.detector import Detector
from agelens.faces.prefetch import prefetch
from agelens.images import decode
from agelens.results import Face

COLUMNS = (
    "chip", "picture", "face", "detection_score", "left", "top", "right", "bottom",
    "right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y", "nose_x", "nose_y",
    "right_mouth_x", "right_mouth_y", "left_mouth_x", "left_mouth_y",
)  # fmt: skip
"""Of chips.csv: box and points in pixels of the picture; face 1 is the largest."""

QUALITY = 95
_AHEAD = 16
_BYTES_AHEAD = 2**27  # read but not yet stored

Report = Callable[[str, int, int | None], None]
"""Called with the stage ("check" or "align"), the pictures done, and of how many if known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The outcome of one picture: a row of chips.csv for each chip, or a reason for none."""

    number: int  # place in the source, from 0
    picture: str
    rows: list[list[Any]] = field(default_factory=list)
    reason: str | None = None

    def is_stored(self, folder: Path) -> bool:
        """Return whether all its chips stand in the folder."""
        return all((folder / row[0]).is_file() for row in self.rows)


_Align = Callable[[int, Member], tuple[Entry, list[bytes]]]


@dataclass(frozen=True, slots=True)
class Alignment:
    """The outcome of an alignment."""

    pictures: int  # all that were looked at
    chips: int
    rejects: int
    before: int  # pictures that an earlier, interrupted run had done
    already: bool  # everything was done; nothing was changed


def align_pictures(
    source: Path,
    dest: Path,
    *,
    every: bool = False,
    workers: int | None = None,
    detector: Detector | None = None,
    report: Report | None = None,
) -> Alignment:
    """Cut the main (largest) face of every picture, or with `every` all its faces, into chips.

    SOURCE is a folder or an archive. A second run does nothing, an interrupted one goes on.
    Raises SourceError for a missing source, ArchiveRefused, and DatasetError for a DEST that
    holds other things or a source without a face.
    """
    with resumable(dest):
        silent: Report = lambda stage, done, total: None  # noqa: E731
        return _align_source(source, dest, every, workers, detector, report or silent)


def _align_source(
    source: Path, dest: Path, every: bool, workers: int | None,
    detector: Detector | None, report: Report,
) -> Alignment:  # fmt: skip
    origin = Source.open(source)
    if origin.kind in ("csv", "parquet"):
        raise DatasetError(
            f"{str(source)!r} holds no files: expected a folder or archive of pictures"
        )
    if dest.resolve() == source.resolve() or source.resolve() in dest.resolve().parents:
        raise SourceError(f"{str(dest)!r} lies in the source: choose a folder apart")
    about = {"source": origin.path.name, "sha256": origin.sha256, "faces": _faces(every)}
    finished = _finished(dest, about)
    if finished is not None:
        return finished
    limits = Limits()
    total = 0
    for total, _ in enumerate(origin.survey(limits), 1):
        report("check", total, None)
    journal = _open_journal(dest, about)
    before = len(journal.entries)
    try:
        report("align", before, total)
        align = partial(_align, detector=detector or Detector(), cutter=Cutter(), every=every)
        work = _align_all(origin.members(limits), journal, align, workers)
        for count in work:
            report("align", count, total)
    finally:
        journal.close()
    _write_tables(dest, about, journal)
    journal.remove()
    finished = _finished(dest, about)
    if finished is None:
        raise DatasetError(f"{str(dest)!r} changed meanwhile: run the same command again")
    return Alignment(finished.pictures, finished.chips, finished.rejects, before, already=False)


def chip_name(picture: str, face: int) -> str:
    """Name a chip after its picture, as UTKFace does; further faces cannot pass for labelled."""
    folder, _, name = picture.rpartition("/")
    name = name.removesuffix(".chip.jpg") + ".chip.jpg"
    if face > 1:
        name = f"face{face}_of_{name}"
    return f"{folder}/{name}" if folder else name


def _faces(every: bool) -> str:
    return "all" if every else "main"


def _finished(dest: Path, about: dict[str, str]) -> Alignment | None:
    """Return what a complete DEST says; None if it is still to do or to go on."""
    if dest.exists() and not dest.is_dir():
        raise DatasetError(f"{str(dest)!r} is a file: expected a new or empty folder")
    file = dest / "align.json"
    if not file.is_file():
        begun = (dest / ".align").is_dir()
        if not begun and dest.is_dir() and any(dest.iterdir()):
            raise DatasetError(f"{str(dest)!r} is not empty: choose a new folder")
        return None
    try:
        facts = json.loads(file.read_text("utf-8"))
        counts = [int(facts[name]) for name in ("pictures", "chips", "rejects")]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"cannot read {str(file)!r}: delete the folder and align again") from (
            error
        )
    _check_same(dest, about, facts)
    return Alignment(counts[0], counts[1], counts[2], before=0, already=True)


def _open_journal(dest: Path, about: dict[str, str]) -> Journal[Entry]:
    check = partial(_check_same, dest, about)
    return Journal(dest / ".align", dest / "chips", Entry, about, check)


def _check_same(dest: Path, about: dict[str, str], facts: Mapping[str, Any]) -> None:
    """Raise DatasetError where `facts` that were found in DEST are of another source."""
    if any(facts.get(name) != about[name] for name in ("sha256", "faces")):
        raise DatasetError(
            f"{str(dest)!r} holds chips of {facts.get('source')!r} ({facts.get('faces')} faces), "
            f"not of {about['source']!r} ({about['faces']} faces) as it is now: "
            "choose another folder, or delete this one"
        )


def _align_all(
    members: Iterable[Member], journal: Journal[Entry], align: _Align, workers: int | None
) -> Iterator[int]:
    """Align pictures on several threads; store and record them in their order."""
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
    problem = not_a_picture(member) or member.problem
    if problem:
        return Entry(number, member.name, reason=problem), []
    try:
        picture = decode.read(member.content)
    except PictureError as error:
        return Entry(number, member.name, reason=str(error)), []
    faces = detector.detect(picture)[: None if every else 1]
    if not faces:
        return Entry(number, member.name, reason="no face found"), []
    rows = [_row(member.name, place, face) for place, face in enumerate(faces, 1)]
    return Entry(number, member.name, rows), [
        _jpeg(cutter.cut(picture, f.landmarks)) for f in faces
    ]


def _row(picture: str, place: int, face: Face) -> list[Any]:
    box = (face.box.left, face.box.top, face.box.right, face.box.bottom)
    points = face.landmarks.array().ravel().tolist()
    pixels = [round(value, 2) for value in (*box, *points)]
    return [chip_name(picture, place), picture, place, round(face.score, 4), *pixels]


def _jpeg(chip: decode.Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(chip).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def _write_tables(dest: Path, about: dict[str, str], journal: Journal[Entry]) -> None:
    done = [journal.entries[number] for number in sorted(journal.entries)]
    rows = [row for one in done for row in one.rows]
    rejects = [(one.picture, one.reason) for one in done if one.reason is not None]
    if not rows:
        first = f", the first: {rejects[0][0]!r}, {rejects[0][1]}" if rejects else ""
        raise DatasetError(f"no face in {about['source']!r}: {len(rejects)} files rejected{first}")
    facts = about | {"pictures": len(done), "chips": len(rows), "rejects": len(rejects)}
    write_csv(dest / "chips.csv", COLUMNS, rows)
    write_csv(dest / "rejects.csv", ("file", "reason"), rejects)
    write_atomic(dest / "align.json", json.dumps(facts, indent=2).encode() + b"\n")
