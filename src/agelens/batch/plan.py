"""The work of a run: the listing, made once, cut into units and stored with the output.

A unit is what one worker processes at a time: some pictures, one tar shard, or some rows of a
table. The plan is a sequence of Parquet files, so that neither the process that hands out units
nor the workers hold more than one of them in memory.
"""

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from agelens.batch.listing import Entry, Kind
from agelens.batch.store import Store
from agelens.errors import BatchError

FILE = "plan.json"
FOLDER = "plan"
CHUNK = 50_000  # entries in one file of the plan
MAX_PICTURES = 1000  # of a unit: what a killed worker does again
MIN_PICTURES = 16
_MIN_UNITS = 64  # for a small input, so that all workers have some
_MAX_UNITS = 10_000_000
_SCHEMA = {
    "unit": pl.UInt32, "kind": pl.String, "place": pl.String, "start": pl.Int64, "stop": pl.Int64
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unit:
    """What one worker processes at a time: many pictures, or one shard or piece of a table."""

    number: int
    kind: Kind
    places: tuple[str, ...]
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The size of a plan."""

    units: int
    pictures: int  # without those in shards, which are not counted
    shards: int


class Plan:
    """The units of one run, read as needed."""

    def __init__(self, store: Store) -> None:
        """Open the plan of a run. Raises FileNotFoundError if it is missing or incomplete."""
        self._store = store
        plan = json.loads(store.read(FILE))
        self.totals = Totals(**plan["totals"])
        self._firsts: list[int] = plan["firsts"]  # the first unit of each file
        self._loaded: tuple[int, pl.DataFrame] | None = None

    def unit(self, number: int) -> Unit:
        """Return one unit by its number; fastest in rising order."""
        chunk = max(i for i, first in enumerate(self._firsts) if first <= number)
        if self._loaded is None or self._loaded[0] != chunk:
            data = self._store.read(_chunk_name(chunk))
            self._loaded = chunk, pl.read_parquet(io.BytesIO(data))
        rows = self._loaded[1].filter(pl.col("unit") == number)
        first = rows.row(0, named=True)
        places = tuple(rows["place"])
        return Unit(number, Kind(first["kind"]), places, first["start"], first["stop"])


def make(store: Store, listed: Iterable[Entry], report: Callable[[int], None]) -> Plan:
    """Write the plan of a run, which counts once its last file is written.

    Calls `report` with the number of entries so far. Raises BatchError for too many units.
    """
    source = iter(listed)
    firsts: list[int] = []
    units = pictures = shards = entries = 0
    size = MAX_PICTURES
    while block := list(itertools.islice(source, CHUNK)):
        if not firsts and len(block) < CHUNK:
            size = min(MAX_PICTURES, max(MIN_PICTURES, -(-len(block) // _MIN_UNITS)))
        rows = list(_number(block, units, size))
        file = io.BytesIO()
        pl.DataFrame(rows, _SCHEMA).write_parquet(file, compression="zstd")
        store.write(_chunk_name(len(firsts)), file.getvalue())
        firsts.append(units)
        units = rows[-1]["unit"] + 1
        pictures += sum(entry.pictures or 0 for entry in block)
        shards += sum(entry.pictures is None for entry in block)
        entries += len(block)
        report(entries)
    if units >= _MAX_UNITS:
        raise BatchError(
            f"{units:,} units: expected under {_MAX_UNITS:,}; split the source into several runs"
        )
    plan = {"totals": asdict(Totals(units, pictures, shards)), "firsts": firsts}
    store.write(FILE, json.dumps(plan, indent=2).encode())
    return Plan(store)


def _number(block: list[Entry], first: int, size: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of one file of the plan: pictures in units of `size`, others alone."""
    number, filled = first - 1, 0
    for entry in block:
        alone = entry.kind is not Kind.PICTURE
        if alone or filled in (0, size):
            number, filled = number + 1, 0
        yield {
            "unit": number, "kind": entry.kind.value, "place": entry.place,
            "start": entry.start, "stop": entry.stop,
        }  # fmt: skip
        filled = 0 if alone else filled + 1


def _chunk_name(chunk: int) -> str:
    return f"{FOLDER}/{chunk:05}.parquet"
