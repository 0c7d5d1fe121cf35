"""A unit -> its pictures, one after another: from files, tar shards and tables, near or far.

Files that are near are read by the decoder itself, which checks their size first. Files behind
a URL are fetched some ahead, by several threads, so that waiting for a store and working go
together. What cannot be had becomes an item with a reason; a store that does not answer is an
error, since there the same picture may be had later.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from agelens.batch import listing, locations
from agelens.batch.listing import Kind
from agelens.batch.plan import Unit
from agelens.data import archives
from agelens.errors import AgelensError, DatasetError, SourceError, SourceUnreachable
from agelens.faces.prefetch import prefetch
from agelens.images.decode import DEFAULT_LIMITS, SUFFIXES

AHEAD = 8  # files fetched at once
_ROWS = 256  # of a table held at once
_KEYS = ("__key__", "key", "id", "image_id", *listing.NAMES)


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a unit; of `data` and `error` one is set."""

    name: str  # for the column `source`
    data: Path | bytes | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """From where places are seen."""

    base: str  # the folder in which the run was begun
    root: str  # the folder or prefix that SOURCE names, or in which it stands


def items(unit: Unit, where: Where) -> Iterator[Item]:
    """Give the pictures of a unit, always in the same order.

    A shard or table without a picture, and one that is missing or damaged, gives an item with
    its own name and the reason, after the pictures that could be read. Raises
    SourceUnreachable where a store does not answer, or the whole source is gone.
    """
    if unit.kind is not Kind.PICTURE:
        return _contained(unit, where)
    if any(locations.is_url(place) for place in unit.places):
        return _fetched(unit.places, where)
    return (_found(place, where) for place in unit.places)


def _found(place: str, where: Where) -> Item:
    path = Path(where.base, place)
    return Item(place, path) if os.path.lexists(path) else _missing(place, where)


def _missing(place: str, where: Where) -> Item:
    """Say that one file is gone. Raises SourceUnreachable where the whole source is."""
    root = where.root
    try:
        if locations.is_url(root):
            fs, path = locations.filesystem(root)
            there = locations.persistently(lambda: fs.exists(path), f"look at {root}")
        else:  # a disk that is not mounted leaves an empty folder
            with os.scandir(Path(where.base, root)) as inside:
                there = any(inside)
    except OSError:
        there = False
    if not there:
        raise SourceUnreachable(f"{root!r} is gone or empty: bring it back")
    return Item(place, error=f"no such file: {place!r}")


def _fetched(names: tuple[str, ...], where: Where) -> Iterator[Item]:
    yield from prefetch(lambda name: _fetch(name, where), names, AHEAD, "fetch")


def _fetch(place: str, where: Where) -> Item:
    if not locations.is_url(place):
        return _found(place, where)
    most = DEFAULT_LIMITS.bytes + 1  # what is longer is refused by the decoder
    try:
        fs, path = locations.filesystem(place)
        data = locations.persistently(lambda: _head(fs, path, most), f"read {place}")
    except FileNotFoundError:
        return _missing(place, where)
    except (OSError, SourceError) as error:
        if isinstance(error, SourceUnreachable):
            raise
        return Item(place, error=f"cannot read {place!r}: {error}")
    return Item(place, data)


def _head(fs: Any, path: str, most: int) -> bytes:
    """Read the first bytes of a file in one request, which an empty file does not allow."""
    try:
        data: bytes = fs.cat_file(path, start=0, end=most)
    except FileNotFoundError:
        raise
    except Exception:
        if fs.size(path) == 0:
            return b""
        raise
    return data


def _contained(unit: Unit, where: Where) -> Iterator[Item]:
    place = unit.places[0]
    none = True
    try:
        with _near(place, where) as path:
            read = _shard(path) if unit.kind is Kind.SHARD else _table(path, unit)
            for name, data in read:
                none = False
                yield Item(f"{place}/{name}", data)
    except FileNotFoundError:
        yield _missing(place, where)
    except SourceUnreachable:
        raise
    except (AgelensError, OSError) as error:
        yield Item(place, error=str(error))
    else:
        if none:
            yield Item(place, error=f"no picture in {place!r}")


@contextmanager
def _near(place: str, where: Where) -> Iterator[Path]:
    """Give a local path; what is far is copied whole: a cut connection is no damaged shard."""
    if not locations.is_url(place):
        path = Path(where.base, place)
        path.stat()
        yield path
        return
    fs, far = locations.filesystem(place)
    with tempfile.TemporaryDirectory(prefix="agelens-") as folder:
        path = Path(folder, place.rpartition("/")[2])
        locations.persistently(lambda: fs.get_file(far, str(path)), f"read {place}")
        yield path


def _shard(path: Path) -> Iterator[tuple[str, bytes]]:
    for name, data in archives.read_archive(path):
        member = PurePosixPath(name)
        if not member.name.startswith(".") and member.suffix.lower() in SUFFIXES:
            yield name, data


def _table(path: Path, unit: Unit) -> Iterator[tuple[str, bytes]]:
    """Give the pictures of some rows, each with its number, and its name if it has one."""
    try:
        table = pl.scan_parquet(path)
        columns = dict(table.collect_schema())
        picture = listing.picture_column(columns)
        if picture is None:
            raise DatasetError(f"{path.name!r} has no column of pictures any more")
        named = [c for n in _KEYS for c in columns if c.lower() == n and columns[c] == pl.String]
        stop = unit.stop if unit.stop is not None else 2**62
        table = table.select([picture, *named[:1]])
        for start in range(unit.start, stop, _ROWS):
            rows = table.slice(start, min(_ROWS, stop - start)).collect()
            for number, row in enumerate(rows.iter_rows(), start):
                yield _row(number, row)
            if len(rows) < _ROWS:
                break
    except pl.exceptions.PolarsError as error:
        raise DatasetError(f"cannot read {path.name!r} as Parquet: {error}") from error


def _row(number: int, row: tuple[Any, ...]) -> tuple[str, bytes]:
    value: Any = row[0]
    path = row[1] if len(row) > 1 else None
    if isinstance(value, dict):
        path = path or value.get("path")
        value = value.get("bytes")
    data = value if isinstance(value, bytes) else b""
    return f"row {number}" + (f"/{path}" if path else ""), data
