"""Read the pictures of a unit one after another: from files, tar shards and tables.

Remote files are prefetched in several threads; the decoder itself opens local ones. A picture that
cannot be read becomes an item with the reason; a store that does not respond is an error.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import polars as pl

from agelens.batch import listing, storage
from agelens.batch.ledger import Unit
from agelens.batch.listing import Kind
from agelens.data import archives
from agelens.errors import AgelensError, DatasetError, SourceError, SourceUnreachable
from agelens.faces.pipeline import prefetch
from agelens.images.decode import DEFAULT_LIMITS, SUFFIXES

PREFETCH = 8  # files fetched at once
_ROWS = 256  # of a table in memory at once
_NAME_COLUMNS = ("__key__", "key", "id", "image_id", *listing.PATH_COLUMNS)


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a unit; either `data` or `error` is set."""

    name: str  # for the column `source`
    data: Path | bytes | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the places of a run start."""

    base: str  # the folder in which the run was started
    root: str  # the folder or prefix that SOURCE names, or that contains it


def read_unit(unit: Unit, origin: Origin) -> Iterator[Item]:
    """Yield the pictures of a unit, always in the same order.

    A shard or table that has no picture, is missing or is damaged gives an item with its own name
    and the reason, after the pictures that could be read. Raises SourceUnreachable if a store
    does not respond or the whole source is gone.
    """
    if unit.kind is not Kind.PICTURE:
        return _read_container(unit, origin)
    if any(storage.is_url(place) for place in unit.places):
        return prefetch(lambda place: _fetch(place, origin), unit.places, PREFETCH, "fetch")
    return (_fetch(place, origin) for place in unit.places)


def _fetch(place: str, origin: Origin) -> Item:
    if not storage.is_url(place):
        path = Path(origin.base, place)
        return Item(place, path) if os.path.lexists(path) else _missing(place, origin)
    try:
        # one byte over the limit, so that the decoder refuses a longer file
        return Item(place, storage.read(place, DEFAULT_LIMITS.bytes + 1))
    except FileNotFoundError:
        return _missing(place, origin)
    except SourceUnreachable:
        raise
    except (OSError, SourceError) as error:
        return Item(place, error=f"cannot read {place!r}: {error}")


def _missing(place: str, origin: Origin) -> Item:
    """Return the item of a missing file. Raises SourceUnreachable if the whole source is gone."""
    try:
        if storage.is_url(origin.root):
            exists = storage.request("find", origin.root, "exists")
        else:  # a disk that is not mounted leaves an empty folder
            with os.scandir(Path(origin.base, origin.root)) as files:
                exists = any(files)
    except OSError:
        exists = False
    if not exists:
        raise SourceUnreachable(f"{origin.root!r} is gone or empty: bring it back")
    return Item(place, error=f"no such file: {place!r}")


def _read_container(unit: Unit, origin: Origin) -> Iterator[Item]:
    place = unit.places[0]
    empty = True
    try:
        with _local_copy(place, origin) as path:
            read = _read_shard(path) if unit.kind is Kind.SHARD else _read_table(path, unit)
            for name, data in read:
                empty = False
                yield Item(f"{place}/{name}", data)
        if empty:
            yield Item(place, error=f"no picture in {place!r}")
    except FileNotFoundError:
        yield _missing(place, origin)
    except SourceUnreachable:
        raise
    except (AgelensError, OSError) as error:
        yield Item(place, error=str(error))


@contextmanager
def _local_copy(place: str, origin: Origin) -> Iterator[Path]:
    """Yield a local path; remote files are copied whole, since a cut connection is no damage."""
    if not storage.is_url(place):
        path = Path(origin.base, place)
        path.stat()
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="agelens-") as folder:
        path = Path(folder, place.rpartition("/")[2])
        storage.request("read", place, "get_file", str(path))
        yield path


def _read_shard(path: Path) -> Iterator[tuple[str, bytes]]:
    for name, data in archives.read_archive(path):
        member = PurePosixPath(name)
        if not member.name.startswith(".") and member.suffix.lower() in SUFFIXES:
            yield name, data


def _read_table(path: Path, unit: Unit) -> Iterator[tuple[str, bytes]]:
    """Yield the pictures of the unit's rows, named by row number and by name if there is one."""
    try:
        table = pl.scan_parquet(path)
        columns = table.collect_schema()
        picture = listing.picture_column(columns)
        if picture is None:
            raise DatasetError(
                f"{path.name!r} no longer has a column of pictures: put back the table that the "
                "run began with"
            )
        strings = {c.lower(): c for c in reversed(columns) if columns[c] == pl.String}
        names = [strings[name] for name in _NAME_COLUMNS if name in strings]
        table = table.select([picture, *names[:1]])
        stop = unit.stop if unit.stop is not None else 2**62
        for start in range(unit.start, stop, _ROWS):
            rows = table.slice(start, min(_ROWS, stop - start)).collect()
            for number, (value, *name) in enumerate(rows.iter_rows(), start):
                if isinstance(value, dict):
                    name = [name[0] if name and name[0] else value.get("path")]
                    value = value.get("bytes")
                data = value if isinstance(value, bytes) else b""
                yield "/".join([f"row {number}", *filter(None, name)]), data
            if len(rows) < _ROWS:
                break
    except pl.exceptions.PolarsError as error:
        raise DatasetError(f"cannot read {path.name!r} as Parquet: {error}") from error
