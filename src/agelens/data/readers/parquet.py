"""Hugging Face's Parquet files: one row for each picture, with its bytes."""

import json
from collections.abc import Iterator
from pathlib import Path
from posixpath import basename
from typing import Any, Self

import polars as pl

from agelens.data.archives import Limits
from agelens.data.readers.csv_files import Columns
from agelens.data.readers.reader import YOUR_TERMS, Labelled, Survey, flat_name
from agelens.errors import DatasetError

_BATCH = 64  # rows read at a time
_KINDS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp"}


class ParquetFiles:
    """A Parquet file, or a folder of them, with a column of pictures and their labels."""

    expected = "Parquet with pictures"
    terms = YOUR_TERMS

    def __init__(self, folder: Path, paths: dict[Path, str]) -> None:
        self._folder, self._paths = folder, paths  # with the column of pictures of each file
        scans = {path: pl.scan_parquet(path) for path in paths}
        self._rows = {p: _read(scan.select(pl.len()), p).item() for p, scan in scans.items()}
        self.total = sum(self._rows.values())
        columns = ", ".join(sorted(set(paths.values())))
        self.description = (
            f"Hugging Face Parquet ({len(paths)} file{'s' * (len(paths) > 1)}, "
            f"{self.total:,} rows, pictures in the column {columns})"
        )

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        """Accept Parquet files with pictures and ages. Raises DatasetError for damaged ones."""
        source = survey.source
        if source.kind == "parquet":
            folder, paths = source.path.parent, [source.path]
        elif source.kind == "folder":
            folder = source.path
            paths = [folder / name for name in survey.names if name.lower().endswith(".parquet")]
        else:
            return None
        taken = {path: column for path in paths if (column := _picture_column(path))}
        return cls(folder, taken) if taken else None

    def pictures(self, limits: Limits) -> Iterator[Labelled]:
        """Yield every row."""
        for path, picture in self._paths.items():
            table = pl.scan_parquet(path)
            names = table.collect_schema().names()
            used = Columns.of([name.lower() for name in names])
            wanted = {used.age, used.low, used.high, used.gender, used.race}
            table = table.select(n for n in names if n.lower() in wanted or n == picture)
            classes = _classes(path)
            short = path.relative_to(self._folder).as_posix()
            for start in range(0, self._rows[path], _BATCH):
                some = _read(table.slice(start, _BATCH), path)
                for number, row in enumerate(some.iter_rows(named=True), start + 1):
                    value = row.pop(picture)
                    words = {n.lower(): _word(each, classes.get(n)) for n, each in row.items()}
                    yield _labelled(short, number, value, words, used, limits)


def _labelled(
    short: str, number: int, value: Any, words: dict[str, str], used: Columns, limits: Limits
) -> Labelled:
    path = value.get("path") if isinstance(value, dict) else None
    content = value.get("bytes") if isinstance(value, dict) else value
    content = content if isinstance(content, bytes) else b""
    label, problem = None, "" if content else "no picture in this row"
    if len(content) > limits.member_bytes:
        problem = f"{len(content):,} bytes: over the limit of {limits.member_bytes:,}"
    try:
        label = None if problem else used.label(words)
    except ValueError as error:
        problem = str(error)
    stem = basename(path) if path else f"{number:06}.x"
    file = flat_name(f"{short[:-8]}/{stem}", _KINDS.get(content[:2], ".jpg"))
    content = b"" if problem else content
    return Labelled(f"{short}/row {number:06}", file, content, label, problem)


def _read(table: pl.LazyFrame, path: Path) -> pl.DataFrame:
    try:
        return table.collect()
    except Exception as error:  # polars' exceptions share no public base class
        raise DatasetError(f"cannot read {str(path)!r} as Parquet: {error}") from error


def _picture_column(path: Path) -> str | None:
    schema = _read(pl.scan_parquet(path).head(0), path).schema
    if not Columns.of([name.lower() for name in schema]).has_age:
        return None
    for name, kind in schema.items():
        if isinstance(kind, pl.Struct) and "bytes" in {field.name for field in kind.fields}:
            return name
        if kind == pl.Binary:
            return name
    return None


def _classes(path: Path) -> dict[str, list[str]]:
    """Return the words behind numbered classes, which the `datasets` library notes in the file."""
    try:
        about = json.loads(pl.read_parquet_metadata(path)["huggingface"])
        features = about["info"]["features"]
        return {
            column: [str(word) for word in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError):
        return {}


def _word(value: Any, names: list[str] | None) -> str:
    if value is None:
        return ""
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return str(value)
