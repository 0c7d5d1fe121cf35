"""The files of a run's output: what it is, its plan, and which parts are committed.

The plan is the listing cut into units, in Parquet files of which one at a time is in memory. It
determines the name of each part, and writing the whole file commits it: whoever processes a slice
again writes the same file. A part carries its counts in its footer; `manifest.json` repeats them.
"""

import io
import itertools
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import polars as pl

from agelens import provenance
from agelens.batch import storage
from agelens.batch.listing import Entry, Kind
from agelens.batch.storage import Store
from agelens.errors import BatchError

RUN, PLAN, MANIFEST, PARTS = "run.json", "plan.json", "manifest.json", "parts"
METADATA = "agelens.part"  # the key in the footer of a part
CHUNK = 50_000  # entries in one file of the plan
MAX_PICTURES = 1000  # of a unit: what a killed worker does again
MIN_PICTURES = 16
_MIN_UNITS = 64  # for a small input, so that all workers have some
_MAX_UNITS = 10_000_000
_PLAN_SCHEMA = {"kind": pl.String, "place": pl.String, "start": pl.Int64, "stop": pl.Int64}
_CHUNK_NAME = "plan/{:05}.parquet".format
_PART_NAME = re.compile(r"part-(\d{7})-(\d{6})\.parquet")
_READERS = 16  # threads that read footers


def open_run(store: Store, about: dict[str, Any], listing: dict[str, str]) -> dict[str, str]:
    """Start a run in a store, or continue the one that is there; return its `listing`.

    `about` holds what determines the predictions: source, model and options; `listing` how the
    source was given. Raises BatchError if the store holds another run, or something else.
    """
    try:
        run = json.loads(store.read(RUN))
    except FileNotFoundError:
        if others := sorted(store.sizes()):
            raise BatchError(
                f"--output contains {others[0]!r} but no run of agelens batch: choose a new folder"
            ) from None
        made_by = {"versions": provenance.versions(), "begun": provenance.now()}
        run = {"about": about, "listing": listing, **made_by}
        store.write(RUN, json.dumps(run, indent=2).encode())
    except ValueError as error:
        raise BatchError(
            f"{RUN} of --output cannot be read ({error}): choose a new folder"
        ) from error
    for name, value in about.items():
        if (there := run["about"].get(name)) != value:
            raise BatchError(
                f"--output holds a run with another {name}: {there!r} there, {value!r} requested; "
                "use the same value, or choose a new folder"
            )
    return dict(run["listing"])


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
        plan = json.loads(store.read(PLAN))
        self.totals = Totals(**plan["totals"])
        self._firsts: list[int] = plan["firsts"]  # the first unit of each file
        self._read = lru_cache(1)(lambda name: pl.read_parquet(io.BytesIO(store.read(name))))

    def unit(self, number: int) -> Unit:
        """Return one unit by its number; fastest in rising order."""
        chunk = self._read(_CHUNK_NAME(bisect_right(self._firsts, number) - 1))
        rows = chunk.filter(pl.col("unit") == number)
        _, kind, _, start, stop = rows.row(0)
        return Unit(number, Kind(kind), tuple(rows["place"]), start, stop)


def make_plan(store: Store, listed: Iterable[Entry], report: Callable[[int], None]) -> Plan:
    """Write the plan of a run, which counts once its last file is written.

    Calls `report` with the number of entries so far. Raises BatchError for too many units.
    """
    source = iter(listed)
    firsts: list[int] = []
    size = MAX_PICTURES
    units = pictures = shards = entries = 0
    while block := list(itertools.islice(source, CHUNK)):
        if not firsts and len(block) < CHUNK:
            size = min(MAX_PICTURES, max(MIN_PICTURES, -(-len(block) // _MIN_UNITS)))
        rows = [(entry.kind.value, entry.place, entry.start, entry.stop) for entry in block]
        table = pl.DataFrame(rows, _PLAN_SCHEMA, orient="row")
        # Shards and tables are units of their own, pictures between them are cut at `size`.
        alone = pl.col("kind") != Kind.PICTURE.value
        begins = alone | (pl.int_range(pl.len()).over(alone.rle_id()) % size == 0)
        table = table.select((units + begins.cum_sum() - 1).cast(pl.UInt32).alias("unit"), pl.all())
        file = io.BytesIO()
        table.write_parquet(file, compression="zstd")
        store.write(_CHUNK_NAME(len(firsts)), file.getvalue())
        firsts.append(units)
        units = table["unit"][-1] + 1
        pictures += sum(entry.pictures or 0 for entry in block)
        shards += sum(entry.pictures is None for entry in block)
        entries += len(block)
        report(entries)
    if units >= _MAX_UNITS:
        raise BatchError(
            f"{units:,} units: expected under {_MAX_UNITS:,}; split the source into several runs"
        )
    plan = {"totals": asdict(Totals(units, pictures, shards)), "firsts": firsts}
    store.write(PLAN, json.dumps(plan, indent=2).encode())
    return Plan(store)


@dataclass(frozen=True, slots=True)
class Part:
    """A committed part: the predictions of slice `slice` of unit `unit`."""

    unit: int
    slice: int
    last: bool  # whether the unit ends here
    pictures: int
    faces: int
    errors: int  # pictures that could not be used
    rows: int
    seconds: dict[str, float] = field(default_factory=dict)  # by stage


def part_name(unit: int, number: int) -> str:
    """Return the file of the part for slice `number` of a unit, in the folder of the run."""
    return f"{PARTS}/part-{unit:07}-{number:06}.parquet"


def read_part(store: Store, unit: int, number: int) -> Part | None:
    """Read a part from its footer; None if it is missing or damaged, so that it is made again."""
    try:
        path = store.path(part_name(unit, number))
        metadata = storage.read_footer(path, pl.read_parquet_metadata)
        part = Part(**json.loads(metadata[METADATA]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return part if (part.unit, part.slice) == (unit, number) else None


class Ledger:
    """The committed parts of a run, by unit and slice."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: dict[tuple[int, int], tuple[Part, int]] = {}
        known, unknown = {}, {}
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            for row in json.loads(store.read(MANIFEST))["parts"]:
                part = Part(**row["part"])
                known[part.unit, part.slice] = part, int(row["bytes"])
        for file, size in store.sizes(PARTS).items():
            if match := _PART_NAME.fullmatch(file):
                key = int(match[1]), int(match[2])
                if key in known and known[key][1] == size:
                    self._parts[key] = known[key]
                else:
                    unknown[key] = size
        with ThreadPoolExecutor(_READERS) as pool:
            read = pool.map(lambda key: read_part(store, *key), unknown)
            for found, size in zip(read, unknown.values(), strict=True):
                if found is not None:
                    self.add(found, size)

    def add(self, part: Part, size: int) -> None:
        """Record a committed part of `size` bytes."""
        self._parts[part.unit, part.slice] = part, size

    def parts(self) -> list[Part]:
        """Return the committed parts in order."""
        return [part for _, (part, _) in sorted(self._parts.items())]

    def pending(self, units: int) -> Iterator[tuple[int, int]]:
        """Yield each unfinished unit of 0 to `units` - 1, with its first missing slice."""
        for unit in range(units):
            number = 0
            while (found := self._parts.get((unit, number))) and not found[0].last:
                number += 1
            if found is None:
                yield unit, number

    def write_manifest(self, *, whole: bool) -> None:
        """Write the manifest; `whole` is whether all units are finished."""
        found = sorted(self._parts.items())
        rows: list[dict[str, Any]] = [{"part": asdict(p), "bytes": size} for _, (p, size) in found]
        names = ("pictures", "faces", "errors", "rows")
        totals = {name: sum(row["part"][name] for row in rows) for name in names}
        manifest = {"whole": whole, "totals": totals, "parts": rows}
        self._store.write(MANIFEST, json.dumps(manifest).encode())
