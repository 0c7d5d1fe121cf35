"""SOURCE -> what there is to read: pictures, tar shards, and tables with pictures in them.

SOURCE is a folder, a glob, a picture, a manifest (text, CSV or Parquet with a picture's path in
each row), a Parquet file with the pictures themselves, tar shards in WebDataset's layout, or
any of these behind a URL. `{000..123}` in it stands for each of these numbers. Nothing is read
but names, manifests and the ends of Parquet files.
"""

import csv
import glob
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from agelens.batch import locations, parquet_footer
from agelens.errors import SourceError
from agelens.images.decode import SUFFIXES

SHARDS = (".tar", ".tar.gz", ".tgz")
LISTS = (".txt", ".lst", ".csv", ".tsv")
TABLE = ".parquet"
NAMES = ("source", "file", "path", "url", "image", "picture", "filename", "file_name", "filepath")
"""Columns that may hold a picture's path, in the order in which they are tried."""
ROWS = 1000  # of a local table in one entry, so that several workers share a large file
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MANIFEST_BYTES = 2**32


class Kind(StrEnum):
    """What an entry is."""

    PICTURE = "picture"
    SHARD = "shard"  # a tar of pictures
    TABLE = "table"  # a Parquet file with a column of pictures' bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to read, which may hold many pictures."""

    kind: Kind
    place: str  # as given: a path or URL
    start: int = 0  # of a table: its first row
    stop: int | None = None  # of a table: the row after its last; None: all from `start` on
    size: int | None = None  # bytes, where the listing tells

    @property
    def pictures(self) -> int | None:
        """How many pictures it holds; None where only reading tells."""
        if self.kind is Kind.PICTURE:
            return 1
        return None if self.stop is None else self.stop - self.start


def entries(source: str, base: str) -> Iterator[Entry]:
    """List what SOURCE names, each once; relative paths are seen from the folder `base`.

    Raises SourceError where there is nothing, or a manifest cannot be read.
    """
    found = False
    for pattern in _numbered(source):
        for entry in _expand(pattern, base):
            found = True
            yield entry
    if not found:
        endings = " ".join([*sorted(SUFFIXES), *SHARDS, TABLE])
        raise SourceError(f"no pictures in {source!r}: looked for {endings}")


def root(source: str, base: str) -> str:
    """Give the folder or prefix that SOURCE names, or in which it stands."""
    place = source if locations.is_url(source) else locations.local(source)
    if not locations.is_url(place) and Path(base, place).is_dir():
        return place
    fixed = re.split(r"[*?\[{]", place)[0]
    if locations.is_url(place):
        # Of a prefix that names a "folder" the folder itself, as far as can be told by its name.
        whole = fixed == place and not _kind(place) and not place.lower().endswith(LISTS)
        return place.rstrip("/") if whole else fixed.rpartition("/")[0]
    return str(Path(fixed + "x").parent)


def _numbered(source: str) -> Iterator[str]:
    """Write out `{000..123}`, as WebDataset does."""
    match = _RANGE.search(source)
    if match is None:
        yield source
        return
    first, last = match[1], match[2]
    for number in range(int(first), int(last) + 1):
        written = f"{number:0{len(first)}}"
        yield from _numbered(source[: match.start()] + written + source[match.end() :])


def _expand(place: str, base: str) -> Iterator[Entry]:
    try:
        if locations.is_url(place):
            yield from _expand_url(place)
        else:
            yield from _expand_local(locations.local(place), base)
    except OSError as error:
        raise SourceError(f"cannot list {place!r}: {error.strerror or error}") from error


def _expand_local(place: str, base: str) -> Iterator[Entry]:
    full = Path(base, place)
    if full.is_dir():
        yield from _folder(_walk(place, base), lambda: _walk(place, base), base)
    elif os.path.lexists(full):
        yield from _file(place, base, None)
    elif glob.has_magic(place):
        # Path.glob knows no absolute patterns
        for match in sorted(glob.glob(place, root_dir=base, recursive=True)):  # noqa: PTH207
            if Path(base, match).is_file():
                yield from _file(match, base, None)
    else:
        raise SourceError(f"no such file or folder: {place!r}; check the path")


def _walk(place: str, base: str) -> Iterator[tuple[str, int | None]]:
    """Give the files of a folder and its subfolders, sorted, without the hidden ones."""
    root = Path(base, place)
    for folder, folders, files in os.walk(root, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = Path(place) / Path(folder).relative_to(root)
        for name in sorted(files):
            if not name.startswith("."):
                yield str(shown / name), None


def _raise(error: OSError) -> None:
    raise error


def _expand_url(place: str) -> Iterator[Entry]:
    fs, path = locations.filesystem(place)
    if glob.has_magic(path):
        found = locations.persistently(lambda: fs.glob(path, detail=True), f"list {place}")
        for info in found.values():
            if info["type"] == "file":
                yield from _file(fs.unstrip_protocol(info["name"]), "", info.get("size"))
        return
    if locations.persistently(lambda: fs.isdir(path), f"look at {place}"):
        yield from _folder(_walk_url(fs, path), lambda: _walk_url(fs, path), "")
    elif locations.persistently(lambda: fs.exists(path), f"look at {place}"):
        yield from _file(place, "", None)
    else:
        raise SourceError(f"nothing at {place!r}; check the URL")


def _walk_url(fs: Any, path: str) -> Iterator[tuple[str, int | None]]:
    for _, folders, files in fs.walk(path, detail=True, on_error="raise"):
        for name in [name for name in folders if name.startswith(".")]:
            del folders[name]  # walk goes on into those that are left
        for name in sorted(files):
            if name and not name.startswith("."):
                yield fs.unstrip_protocol(files[name]["name"]), files[name].get("size")


def _folder(
    files: Iterable[tuple[str, int | None]],
    again: Callable[[], Iterable[tuple[str, int | None]]],
    base: str,
) -> Iterator[Entry]:
    """Take the pictures and shards of a folder; tables only where it holds nothing else."""
    found = False
    for place, size in files:
        kind = _kind(place)
        if kind is Kind.PICTURE or kind is Kind.SHARD:
            found = True
            yield Entry(kind, place, size=size)
    if not found:
        for place, size in again():
            if _kind(place) is Kind.TABLE:
                yield from _table(place, base, size)


def _kind(place: str) -> Kind | None:
    name = place.lower()
    if name.endswith(SHARDS):
        return Kind.SHARD
    if name.endswith(TABLE):
        return Kind.TABLE
    return Kind.PICTURE if PurePosixPath(name).suffix in SUFFIXES else None


def _file(place: str, base: str, size: int | None) -> Iterator[Entry]:
    """Take a file that is named outright; what has an unknown ending is taken for a picture."""
    kind = _kind(place)
    if kind is Kind.TABLE:
        yield from _table(place, base, size)
    elif place.lower().endswith(LISTS):
        yield from _listed(place, _lines(place, base))
    else:
        yield Entry(kind or Kind.PICTURE, place, size=size)


def _listed(manifest: str, names: pl.Series) -> Iterator[Entry]:
    # A picture that is named twice is one picture.
    for name in names.drop_nulls().str.strip_chars().unique(maintain_order=True):
        if name:
            place = locations.beside(manifest, name)
            yield Entry(Kind.SHARD if place.lower().endswith(SHARDS) else Kind.PICTURE, place)


def _lines(place: str, base: str) -> pl.Series:
    data = content(place, base)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"manifest {place!r} is not UTF-8 text: {error}") from error
    if place.lower().endswith((".txt", ".lst")):
        return pl.Series(
            [line for line in text.splitlines() if not line.startswith("#")], dtype=pl.String
        )
    separator = "\t" if place.lower().endswith(".tsv") else ","
    rows = csv.DictReader(io.StringIO(text), delimiter=separator)
    column = _path_column(place, list(rows.fieldnames or ()))
    return pl.Series([row[column] for row in rows], dtype=pl.String)


def _path_column(place: str, columns: list[str]) -> str:
    known = {column.lower().strip(): column for column in reversed(columns)}
    for name in NAMES:
        if name in known:
            return known[name]
    raise SourceError(
        f"manifest {place!r} has the columns {', '.join(columns) or '(none)'}: expected one of "
        f"{', '.join(NAMES)} with a picture's path in each row"
    )


def content(place: str, base: str) -> bytes:
    """Read a whole file. Raises SourceError for one that is missing or far too large."""
    try:
        if locations.is_url(place):
            fs, path = locations.filesystem(place)
            data: bytes = locations.persistently(
                lambda: fs.cat_file(path, start=0, end=_MANIFEST_BYTES), f"read {place}"
            )
        else:
            with Path(base, place).open("rb") as file:
                data = file.read(_MANIFEST_BYTES)
    except OSError as error:
        raise SourceError(f"cannot read {place!r}: {error.strerror or error}") from error
    if len(data) >= _MANIFEST_BYTES:
        raise SourceError(f"{place!r} is over {_MANIFEST_BYTES:,} bytes: split it")
    return data


def _table(place: str, base: str, size: int | None) -> Iterator[Entry]:
    """Take a Parquet file: with pictures in it, or with their paths."""
    try:
        columns, rows = parquet_footer.schema(lambda n: _tail(place, base, n))
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {place!r} as Parquet: {error}") from error
    if picture_column(columns) is not None:
        step = rows if locations.is_url(place) else ROWS  # one that is far away is fetched once
        for start in range(0, rows, max(1, step)):
            yield Entry(Kind.TABLE, place, start, min(start + step, rows), size)
        return
    column = _path_column(place, [name for name, kind in columns.items() if kind == pl.String])
    data = io.BytesIO(content(place, base))
    yield from _listed(place, pl.read_parquet(data, columns=[column])[column])


def picture_column(columns: dict[str, pl.DataType]) -> str | None:
    """Give the column that holds pictures: bytes, or bytes and path as Hugging Face keeps them."""
    for name, kind in columns.items():
        if kind == pl.Binary or (
            isinstance(kind, pl.Struct) and "bytes" in {field.name for field in kind.fields}
        ):
            return name
    return None


def _tail(place: str, base: str, size: int) -> bytes:
    if locations.is_url(place):
        fs, path = locations.filesystem(place)
        data: bytes = locations.persistently(lambda: fs.tail(path, size), f"read {place}")
        return data
    with Path(base, place).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read()
