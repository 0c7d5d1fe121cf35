"""Import a folder or an archive of labelled pictures into a data set folder.

Every file of the source becomes a sample, a reject with its reason, or a copy of a sample.
`samples.parquet` is written last: where it stands, the import is complete.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from posixpath import commonpath, dirname
from typing import Any

from agelens.data import storage
from agelens.data.archives import Limits
from agelens.data.dataset import OPTIONAL, SCHEMA, Dataset, assign_folds, published_fold
from agelens.data.labels import UTKFACE_TERMS
from agelens.data.readers.reader import Labelled, Reader, Survey
from agelens.data.readers.registry import recognise
from agelens.data.source import Report, Source
from agelens.errors import BadPicture, DatasetError, PictureError, SourceError
from agelens.faces.pipeline import prefetch
from agelens.images import decode

MIN_SIDE = 16  # pixels
LIMITS = decode.Limits(pixels=64_000_000)
_THREADS = 2
_AHEAD = 64
_BYTES_AHEAD = 2**27  # read but not yet stored


@dataclass(frozen=True, slots=True)
class Imported:
    """The outcome of an import."""

    dataset: Dataset
    rejects: int
    copies: int
    published_folds: int  # samples whose fold is that of the shipped folds v1
    before: int  # files that an earlier, interrupted run had done
    already: bool  # the folder was complete; nothing was done
    recognised: str  # the source's form, a phrase
    terms: str  # terms of use of the source


def import_dataset(
    source: str | Path, dest: str | Path, *, limits: Limits | None = None,
    report: Report = lambda stage, done, total: None,
) -> Imported:  # fmt: skip
    """Read SOURCE, check every picture, and write the dataset folder DEST.

    Does nothing when DEST is complete, goes on when an earlier run was stopped. Raises
    SourceError, ArchiveRefused, or DatasetError; nothing is written before an archive has
    been checked to its end.
    """
    source, dest, limits = Path(source), Path(dest), limits or Limits()
    with storage.resumable(dest):
        ours, theirs = dest.resolve(), source.resolve()
        if ours == theirs or theirs in ours.parents or ours in theirs.parents:
            raise SourceError(
                f"{str(source)!r} and {str(dest)!r} lie within one another: choose a folder apart"
            )
        origin = Source.open(source)
        if finished := _finished(dest, origin):
            return finished
        reader = recognise(Survey.of(origin, limits, report))
        about = {"sha256": origin.sha256, "name": origin.path.name}
        check = partial(_check_same, dest, origin)
        journal = storage.Journal(dest / ".import", dest / "images", Entry, about, check)
        before = len(journal.entries)
        with closing(journal):
            report("import", before, reader.total)
            for done in _ingest(reader.pictures(limits), journal):
                report("import", done, reader.total)
        _write_tables(dest, origin, reader, list(journal.entries.values()))
        journal.remove()
        if finished := _finished(dest, origin):
            return replace(finished, before=before, already=False)
        raise DatasetError(f"{str(dest)!r} changed during the import: run the same command again")


def _finished(dest: Path, origin: Source) -> Imported | None:
    if not storage.is_finished(dest, "dataset.json", ".import", " and not a dataset folder"):
        return None
    table, about = dest / "samples.parquet", dest / "dataset.json"
    try:
        facts = storage.read_object(about)
        source = {name: facts["source"][name] for name in ("name", "sha256")}
        found = {name: facts[name] for name in ("rejects", "copies", "published_folds")}
        form = facts.get("form", {"recognised": "UTKFace file names", "terms": UTKFACE_TERMS})
        found |= {name: form[name] for name in ("recognised", "terms")}
    except (KeyError, TypeError) as error:
        raise DatasetError(
            f"cannot read {str(about)!r}: delete {str(dest)!r} and import again"
        ) from error
    _check_same(dest, origin, source)
    if not table.is_file():
        return None
    dataset = Dataset(dest)
    if dataset.missing():
        table.unlink()  # it vouches for pictures that are gone
        return None
    return Imported(dataset, before=0, already=True, **found)


def _check_same(dest: Path, origin: Source, known: Mapping[str, Any]) -> None:
    if known.get("sha256") != origin.sha256:
        raise DatasetError(
            f"{str(dest)!r} holds a dataset from another source, {known.get('name')!r}: "
            "choose another folder, or delete this one"
        )


@dataclass(frozen=True, slots=True)
class Entry(storage.JournalEntry):
    """The outcome of one file of the source; exactly one of `file`, `copy_of`, `reason` is set."""

    name: str  # path in the source
    file: str | None = None  # stored as images/<file>
    width: int = 0  # pixels, upright
    height: int = 0  # pixels, upright
    size: int = 0  # bytes
    sha256: str = ""
    copy_of: str | None = None  # the same name and bytes were stored before, from this path
    reason: str | None = None  # rejected
    age: int = 0  # years; of a sample, as in the data set's table
    gender: str | None = None
    race: str | None = None
    age_low: int | None = None
    age_high: int | None = None
    subject: str | None = None

    def is_stored(self, folder: Path) -> bool:
        """Return whether its picture, if it has one, stands whole in the folder."""
        picture = folder / (self.file or "")
        return self.file is None or (picture.is_file() and picture.stat().st_size == self.size)


def verify_picture(content: bytes) -> tuple[int, int, str]:
    """Decode a picture file to its last line; return width, height (upright) and SHA-256.

    Raises BadPicture for what does not decode whole or has a side under 16 pixels, and
    PictureTooLarge for more than 64 million pixels, which is seen before it is decoded.
    """
    height, width = decode.read(content, LIMITS).shape[:2]
    if min(width, height) < MIN_SIDE:
        raise BadPicture(f"{width} x {height} pixels: expected at least {MIN_SIDE} on each side")
    return width, height, hashlib.sha256(content).hexdigest()


def _ingest(pictures: Iterable[Labelled], journal: storage.Journal[Entry]) -> Iterator[int]:
    # by casefold names, since some file systems do not distinguish upper and lower case
    stored = {one.file.casefold(): one for one in journal.entries.values() if one.file}
    new = (item for item in enumerate(pictures) if item[0] not in journal.entries)
    entries = prefetch(
        lambda item: (_entry(*item), item[1]), new, _THREADS, "verify",
        ahead=_AHEAD, size=lambda item: len(item[1].content), max_size=_BYTES_AHEAD,
    )  # fmt: skip
    for entry, picture in entries:
        key = picture.file.casefold()
        if not picture.problem and picture.label and (first := stored.get(key)):
            digest = hashlib.sha256(picture.content).hexdigest()
            if (first.file, first.sha256) == (picture.file, digest):
                entry = Entry(entry.number, picture.name, copy_of=first.name)
            else:
                reason = f"its name is taken by {first.name!r}"
                entry = Entry(entry.number, picture.name, reason=reason)
        journal.add(entry, {entry.file: picture.content} if entry.file else {})
        if entry.file:
            stored[key] = entry
        yield len(journal.entries)


def _entry(number: int, picture: Labelled) -> Entry:
    label = picture.label
    if picture.problem or label is None:
        return Entry(number, picture.name, reason=picture.problem)
    try:
        width, height, digest = verify_picture(picture.content)
    except PictureError as error:
        return Entry(number, picture.name, reason=str(error))
    return Entry(
        number, picture.name, picture.file, width, height, len(picture.content), digest,
        age=label.age, gender=label.gender and str(label.gender), race=label.race,
        age_low=label.age_low, age_high=label.age_high, subject=picture.subject,
    )  # fmt: skip


def _write_tables(dest: Path, origin: Source, reader: Reader, entries: list[Entry]) -> None:
    import polars as pl

    samples = {entry.file: entry for entry in entries if entry.file is not None}
    rejects = [(entry.name, entry.reason) for entry in entries if entry.reason is not None]
    if not samples:
        first = f", the first: {rejects[0][0]!r}, {rejects[0][1]}" if rejects else ""
        raise DatasetError(
            f"no labelled picture in {str(origin.path)!r}: {len(rejects)} files rejected{first}"
        )
    folds = assign_folds(
        {file: entry.sha256 for file, entry in samples.items()},
        {file: entry.subject for file, entry in samples.items() if entry.subject},
    )
    facts = {
        "source": {"name": origin.path.name, "kind": origin.kind, "sha256": origin.sha256},
        "form": {"recognised": reader.description, "terms": reader.terms},
        "samples": len(samples),
        "rejects": len(rejects),
        "copies": len(entries) - len(samples) - len(rejects),
        "published_folds": sum(folds[file] == published_fold(file) for file in samples),
    }
    top = commonpath([dirname(entry.name) for entry in entries]) or "."
    if hasattr(os, "sync"):
        os.sync()  # the pictures reach the disk before the table that vouches for them
    named = sorted((str(PurePosixPath(name).relative_to(top)), why) for name, why in rejects)
    storage.write_csv(dest / "rejects.csv", ("file", "reason"), named)
    storage.write_json(dest / "dataset.json", facts)
    columns = SCHEMA | OPTIONAL
    rows = [asdict(samples[file]) | {"fold": folds[file]} for file in sorted(samples)]
    table = pl.DataFrame([{name: row[name] for name in columns} for row in rows], schema=columns)
    empty = [name for name in OPTIONAL if table[name].null_count() == len(rows)]
    storage.write_parquet(dest / "samples.parquet", table.drop(empty))
