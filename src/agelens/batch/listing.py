"""List what SOURCE names: pictures, tar shards, and Parquet tables with pictures in them.

SOURCE is a folder, a glob, a picture, a manifest (text, CSV or Parquet with the path of a picture
in each row), a Parquet file with the pictures themselves, tar shards in WebDataset's layout, or
any of these behind a URL. `{000..123}` in it stands for each of these numbers. Only names,
manifests and Parquet footers are read.
"""

import csv
import glob
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from agelens.batch import storage
from agelens.errors import SourceError
from agelens.images.decode import SUFFIXES

SHARDS = (".tar", ".tar.gz", ".tgz")
MANIFESTS = (".txt", ".lst", ".csv", ".tsv")
TABLE = ".parquet"
PATH_COLUMNS = (  # that may hold the path of a picture, in the order in which they are tried
    "source", "file", "path", "url", "image", "picture", "filename", "file_name", "filepath"
)  # fmt: skip
ROWS = 1000  # of a local table in one entry, so that several workers share a large file
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MAX_MANIFEST_BYTES = 2**32

Files = Iterator[tuple[str, int | None]]  # places with their sizes in bytes, where known


class Kind(StrEnum):
    """The kinds of entries."""

    PICTURE = "picture"
    SHARD = "shard"  # a tar of pictures
    TABLE = "table"  # a Parquet file with a column of encoded pictures


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to read, which may hold many pictures."""

    kind: Kind
    place: str  # as given: a path or URL
    start: int = 0  # of a table: its first row
    stop: int | None = None  # of a table: the row after its last; None: all from `start` on
    size: int | None = None  # bytes, where the listing has them

    @property
    def pictures(self) -> int | None:
        """The number of pictures in it; None if it must be read to know."""
        if self.kind is Kind.PICTURE:
            return 1
        return None if self.stop is None else self.stop - self.start


def entries(source: str, base: str) -> Iterator[Entry]:
    """List what SOURCE names, each once; relative paths start at the folder `base`.

    Raises SourceError if there is nothing, or a manifest cannot be read.
    """
    found = False
    for place in _expand_ranges(source):
        try:
            for entry in _list_url(place) if storage.is_url(place) else _list_path(place, base):
                found = True
                yield entry
        except OSError as error:
            raise SourceError(f"cannot list {place!r}: {error.strerror or error}") from error
    if not found:
        endings = " ".join([*sorted(SUFFIXES), *SHARDS, TABLE])
        raise SourceError(f"no pictures in {source!r}: looked for {endings}")


def root(source: str, base: str) -> str:
    """Return the folder or prefix that SOURCE names, or that contains it."""
    place = storage.local_path(source)
    if not storage.is_url(place) and Path(base, place).is_dir():
        return place
    fixed = re.split(r"[*?\[{]", place)[0]
    if storage.is_url(place):
        # A prefix that names a "folder" is the folder itself, as far as the name shows.
        is_folder = fixed == place and not _kind(place) and not place.lower().endswith(MANIFESTS)
        return place.rstrip("/") if is_folder else fixed.rpartition("/")[0]
    return str(Path(fixed + "x").parent)


def _expand_ranges(source: str) -> Iterator[str]:
    before, *bounds = _RANGE.split(source, maxsplit=1)
    if not bounds:
        yield source
        return
    first, last, after = bounds
    for number in range(int(first), int(last) + 1):
        yield from _expand_ranges(f"{before}{number:0{len(first)}}{after}")


def _list_path(place: str, base: str) -> Iterator[Entry]:
    place = storage.local_path(place)
    if Path(base, place).is_dir():
        yield from _list_folder(_walk(place, base), base)
    elif os.path.lexists(Path(base, place)):
        yield from _list_file(place, base)
    elif glob.has_magic(place):
        # Path.glob knows no absolute patterns
        for match in sorted(glob.glob(place, root_dir=base, recursive=True)):  # noqa: PTH207
            if Path(base, match).is_file():
                yield from _list_file(match, base)
    else:
        raise SourceError(f"no such file or folder: {place!r}; check the path")


def _list_url(url: str) -> Iterator[Entry]:
    fs, path = storage.filesystem(url)
    if glob.has_magic(path):
        for info in storage.request("list", url, "glob", detail=True).values():
            if info["type"] == "file":
                yield from _list_file(fs.unstrip_protocol(info["name"]), "", info.get("size"))
    elif storage.request("find", url, "isdir"):
        yield from _list_folder(_walk_url(fs, path), "")
    elif storage.request("find", url, "exists"):
        yield from _list_file(url, "")
    else:
        raise SourceError(f"nothing at {url!r}; check the URL")


def _walk(place: str, base: str) -> Files:
    with os.scandir(Path(base, place)) as found:
        items = sorted((one for one in found if one.name[0] != "."), key=attrgetter("name"))
    yield from ((str(Path(place, one.name)), None) for one in items if not one.is_dir())
    for one in items:
        if one.is_dir(follow_symlinks=False):
            yield from _walk(str(Path(place, one.name)), base)


def _walk_url(fs: Any, path: str) -> Files:
    for _, folders, files in fs.walk(path, detail=True, on_error="raise"):
        for name in [name for name in folders if name.startswith(".")]:
            del folders[name]  # fsspec walks into those that are left
        for name in sorted(files):
            if name and not name.startswith("."):
                yield fs.unstrip_protocol(files[name]["name"]), files[name].get("size")


def _list_folder(files: Files, base: str) -> Iterator[Entry]:
    """List the pictures and shards of a folder; its tables only if it has neither."""
    tables: list[tuple[str, int | None]] | None = []
    for place, size in files:
        kind = _kind(place)
        if kind is Kind.PICTURE or kind is Kind.SHARD:
            tables = None
            yield Entry(kind, place, size=size)
        elif kind is Kind.TABLE and tables is not None:
            tables.append((place, size))
    for place, size in tables or ():
        yield from _list_file(place, base, size)


def _kind(place: str) -> Kind | None:
    name = place.lower()
    if name.endswith((*SHARDS, TABLE)):
        return Kind.TABLE if name.endswith(TABLE) else Kind.SHARD
    return Kind.PICTURE if PurePosixPath(name).suffix in SUFFIXES else None


def _list_file(place: str, base: str, size: int | None = None) -> Iterator[Entry]:
    """List a file that is named explicitly; an unknown ending counts as a picture."""
    kind = _kind(place)
    full = place if storage.is_url(place) else str(Path(base, place))
    if kind is Kind.TABLE and (rows := _count_pictures(place, full)) is not None:
        step = rows if storage.is_url(place) else ROWS  # a remote table is fetched once
        for start in range(0, rows, max(1, step)):
            yield Entry(Kind.TABLE, place, start, min(start + step, rows), size)
    elif kind is Kind.TABLE or place.lower().endswith(MANIFESTS):
        # A picture that is named twice is one picture.
        names = _read_names(place, full).drop_nulls().str.strip_chars().unique(maintain_order=True)
        for name in filter(None, names):
            listed = resolve(name, place)
            yield Entry(Kind.SHARD if _kind(listed) is Kind.SHARD else Kind.PICTURE, listed)
    else:
        yield Entry(kind or Kind.PICTURE, place, size=size)


def resolve(name: str, manifest: str) -> str:
    """Return a name in a manifest as a place: relative names start at the manifest's folder."""
    if "://" in name or Path(name).is_absolute():
        return name if storage.is_url(name) else storage.local_path(name)
    if storage.is_url(manifest):
        return f"{manifest.rpartition('/')[0]}/{name}"
    return str(Path(manifest).parent / name)


def _count_pictures(place: str, full: str) -> int | None:
    """Return the rows of a Parquet file with pictures in it, None if it has no such column."""

    def count(footer: io.BytesIO) -> int | None:
        table = pl.scan_parquet(footer)
        found = picture_column(table.collect_schema())
        return None if found is None else int(table.select(pl.len()).collect().item())

    try:
        return storage.read_footer(full, count)
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {place!r} as Parquet: {error}") from error


def picture_column(columns: Mapping[str, pl.DataType]) -> str | None:
    """Return the column of pictures: bytes, or a struct with bytes as Hugging Face writes it."""
    for name, kind in columns.items():
        fields = kind.fields if isinstance(kind, pl.Struct) else []
        if kind == pl.Binary or any(field.name == "bytes" for field in fields):
            return name
    return None


def _read_names(place: str, full: str) -> pl.Series:
    try:
        data = storage.read(full, _MAX_MANIFEST_BYTES)
    except OSError as error:
        raise SourceError(f"cannot read {place!r}: {error.strerror or error}") from error
    if len(data) >= _MAX_MANIFEST_BYTES:
        raise SourceError(f"{place!r} is over {_MAX_MANIFEST_BYTES:,} bytes: split it")
    ending = PurePosixPath(place.lower()).suffix
    try:
        if ending == TABLE:
            table = pl.scan_parquet(io.BytesIO(data))
            strings = [name for name, kind in table.collect_schema().items() if kind == pl.String]
            return table.select(_path_column(place, strings)).collect().to_series()
        text = data.decode("utf-8-sig")
        if ending in (".txt", ".lst"):
            lines = [line for line in text.splitlines() if not line.startswith("#")]
            return pl.Series(lines, dtype=pl.String)
        rows = csv.DictReader(io.StringIO(text), delimiter="\t" if ending == ".tsv" else ",")
        column = _path_column(place, list(rows.fieldnames or ()))
        return pl.Series([row[column] for row in rows], dtype=pl.String)
    except (UnicodeDecodeError, csv.Error, pl.exceptions.PolarsError) as error:
        raise SourceError(f"manifest {place!r} is not UTF-8 text or Parquet: {error}") from error


def _path_column(manifest: str, columns: list[str]) -> str:
    known = {column.lower().strip(): column for column in reversed(columns)}
    if found := [known[name] for name in PATH_COLUMNS if name in known]:
        return found[0]
    raise SourceError(
        f"manifest {manifest!r} has the columns {', '.join(columns) or '(none)'}: expected one of "
        f"{', '.join(PATH_COLUMNS)} with the path of a picture in each row"
    )
