"""What a run has to do: the listing, once made, cut into units and kept with the output.

A unit is what one worker takes at a time: some pictures, one tar shard, or some rows of a
table. The plan is a row of Parquet files, so that neither the one who hands out units nor
those who work on them hold more than one of these in memory.
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
LARGEST = 1000  # pictures of a unit: what a killed worker does again
SMALLEST = 16
_SHARES = 64  # units that a small input is cut into, so that all workers have some
_SCHEMA = {
    "unit": pl.UInt32, "kind": pl.String, "place": pl.String, "start": pl.Int64, "stop": pl.Int64
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unit:
    """What one worker takes at a time: many pictures, or one shard or piece of a table."""

    number: int
    kind: Kind
    places: tuple[str, ...]
    start: int = 0
    stop: int | None = None

    @property
    def pictures(self) -> int | None:
        """How many pictures it holds; None for a shard, which has to be read to know."""
        if self.kind is Kind.PICTURE:
            return len(self.places)
        return None if self.stop is None else self.stop - self.start


@dataclass(frozen=True, slots=True)
class Totals:
    """What a plan holds."""

    units: int
    pictures: int  # as far as known: without those of shards
    shards: int  # whose pictures are not counted


class Plan:
    """The units of one run, read as needed."""

    def __init__(self, store: Store) -> None:
        """Open the plan of a run. Raises FileNotFoundError where it has not been made whole."""
        self._store = store
        about = json.loads(store.read(FILE))
        self.totals = Totals(**about["totals"])
        self._firsts: list[int] = about["firsts"]  # the first unit of each file
        self._held: tuple[int, pl.DataFrame] | None = None

    def units(self, numbers: Iterable[int]) -> Iterator[Unit]:
        """Give units by number; quickest in rising order."""
        return (self.unit(number) for number in numbers)

    def unit(self, number: int) -> Unit:
        """Give one unit by its number."""
        chunk = max(i for i, first in enumerate(self._firsts) if first <= number)
        if self._held is None or self._held[0] != chunk:
            data = self._store.read(f"{FOLDER}/{_name(chunk)}")
            self._held = chunk, pl.read_parquet(io.BytesIO(data))
        rows = self._held[1].filter(pl.col("unit") == number)
        first = rows.row(0, named=True)
        return Unit(
            number, Kind(first["kind"]), tuple(rows["place"]), first["start"], first["stop"]
        )


def make(store: Store, listed: Iterable[Entry], tell: Callable[[int], None]) -> Plan:
    """Write the plan of a run; it counts once its last file is there.

    `tell` is called with the number of entries so far.
    """
    source = iter(listed)
    firsts: list[int] = []
    units = pictures = shards = entries = 0
    size = LARGEST
    while block := list(itertools.islice(source, CHUNK)):
        if not firsts and len(block) < CHUNK:
            size = min(LARGEST, max(SMALLEST, -(-len(block) // _SHARES)))
        rows = list(_number(block, units, size))
        firsts.append(units)
        units = rows[-1]["unit"] + 1
        pictures += sum(entry.pictures or 0 for entry in block)
        shards += sum(entry.pictures is None for entry in block)
        file = io.BytesIO()
        pl.DataFrame(rows, _SCHEMA).write_parquet(file, compression="zstd")
        store.write(f"{FOLDER}/{_name(len(firsts) - 1)}", file.getvalue())
        entries += len(block)
        tell(entries)
    if units >= 10_000_000:
        raise BatchError(f"{units:,} units: over 10 million; split the source into several runs")
    about = {"totals": asdict(Totals(units, pictures, shards)), "firsts": firsts}
    store.write(FILE, json.dumps(about, indent=2).encode())
    return Plan(store)


def _number(block: list[Entry], first: int, size: int) -> Iterator[dict[str, Any]]:
    """Give the rows of one file of the plan: runs of pictures are cut into units of `size`."""
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


def _name(chunk: int) -> str:
    return f"{chunk:05}.parquet"
