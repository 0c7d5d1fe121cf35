"""Import a folder or an archive of labelled pictures into a data set folder.

Every file of the source is either a sample, a reject with its reason, or a copy of a sample
(the same name and bytes again, as some re-packed archives have it). `samples.parquet` is
written last: where it stands, the import is complete.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from posixpath import commonpath, dirname
from typing import TYPE_CHECKING

from agelens.data import utkface
from agelens.data.archives import Limits
from agelens.data.atomic_files import resumable, write_atomic, write_csv, write_parquet
from agelens.data.dataset import OPTIONAL, SCHEMA, Dataset
from agelens.data.folds import assign_folds, published_fold
from agelens.data.ingest import Entry, ingest, open_journal
from agelens.data.journal import Journal
from agelens.data.readers.reader import Reader, Survey
from agelens.data.readers.registry import recognise
from agelens.data.source import Source
from agelens.errors import DatasetError, SourceError

if TYPE_CHECKING:
    import polars as pl

Report = Callable[[str, int, int | None], None]
"""Called with the stage ("check" or "import"), the files done, and of how many if known."""


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
    source: str | Path,
    dest: str | Path,
    *,
    limits: Limits | None = None,
    report: Report | None = None,
) -> Imported:
    """Read SOURCE, check every picture, and write the dataset folder DEST.

    Does nothing when DEST is complete, goes on when an earlier run was stopped. Raises
    SourceError, ArchiveRefused, or DatasetError; nothing is written before an archive has
    been checked to its end.
    """
    with resumable(Path(dest)):
        silent: Report = lambda stage, done, total: None  # noqa: E731
        return _import(Path(source), Path(dest), limits or Limits(), report or silent)


def _import(source: Path, dest: Path, limits: Limits, report: Report) -> Imported:
    _check_apart(source, dest)
    origin = Source.open(source)
    finished = _finished(dest, origin)
    if finished is not None:
        return finished
    reader = recognise(_survey(origin, limits, report))
    journal = open_journal(dest, origin)
    before = len(journal.entries)
    try:
        report("import", before, reader.total)
        for done in ingest(reader.pictures(limits), journal):
            report("import", done, reader.total)
    finally:
        journal.close()
    _write_tables(dest, origin, reader, journal)
    journal.remove()
    finished = _finished(dest, origin)
    if finished is None:
        raise DatasetError(f"{str(dest)!r} changed during the import: run the same command again")
    return replace(finished, before=before, already=False)


def _survey(origin: Source, limits: Limits, report: Report) -> Survey:
    names: list[str] = []
    tables: dict[str, bytes] = {}
    for done, (name, table) in enumerate(origin.survey(limits), 1):
        names.append(name)
        if table:
            tables[name] = table
        report("check", done, None)
    return Survey(origin, names, tables, limits)


def _check_apart(source: Path, dest: Path) -> None:
    ours, theirs = dest.resolve(), source.resolve()
    if ours == theirs or theirs in ours.parents or ours in theirs.parents:
        raise SourceError(
            f"{str(source)!r} and {str(dest)!r} lie within one another: choose a folder apart"
        )


def _finished(dest: Path, origin: Source) -> Imported | None:
    """Return the complete dataset in DEST; None if the import is still to do or to go on.

    Raises DatasetError when DEST holds anything else.
    """
    if dest.exists() and not dest.is_dir():
        raise DatasetError(f"{str(dest)!r} is a file: expected a new or empty folder")
    table, about = dest / "samples.parquet", dest / "dataset.json"
    if not about.is_file():
        begun = (dest / ".import").is_dir()
        if not begun and dest.is_dir() and any(dest.iterdir()):
            raise DatasetError(
                f"{str(dest)!r} is not empty and not a dataset folder: choose a new folder"
            )
        return None
    try:
        facts = json.loads(about.read_text("utf-8"))
        known, source = facts["source"]["sha256"], facts["source"]["name"]
        counts = (facts["rejects"], facts["copies"], facts["published_folds"])
        form = facts.get("form", {"recognised": "UTKFace file names", "terms": utkface.TERMS})
        description, terms = form["recognised"], form["terms"]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"cannot read {str(about)!r}: delete {str(dest)!r} and import again"
        ) from error
    if known != origin.sha256:
        raise DatasetError(
            f"{str(dest)!r} holds a dataset from another source, {source!r}: "
            "choose another folder, or delete this one"
        )
    if not table.is_file():
        return None
    dataset = Dataset(dest)
    if dataset.missing():
        table.unlink()  # it vouches for pictures that are gone
        return None
    return Imported(dataset, *counts, before=0, already=True, recognised=description, terms=terms)


def _write_tables(dest: Path, origin: Source, reader: Reader, journal: Journal[Entry]) -> None:
    entries = list(journal.entries.values())
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
    write_csv(dest / "rejects.csv", ("file", "reason"), named)
    write_atomic(dest / "dataset.json", json.dumps(facts, indent=2).encode() + b"\n")
    write_parquet(dest / "samples.parquet", _table(samples, folds))


def _table(samples: dict[str, Entry], folds: dict[str, int]) -> "pl.DataFrame":
    import polars as pl

    columns = SCHEMA | OPTIONAL
    rows = [asdict(samples[file]) | {"fold": folds[file]} for file in sorted(samples)]
    table = pl.DataFrame([{name: row[name] for name in columns} for row in rows], schema=columns)
    return table.drop([name for name in OPTIONAL if table[name].null_count() == len(rows)])
