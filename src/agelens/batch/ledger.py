"""What the output of a run says about it: what it is, its plan, and which parts are committed.

The plan is the listing, made once and cut into units. It is stored as a sequence of Parquet files,
so that no process holds more than one of them in memory. `manifest.json` summarises the parts of
a finished or stopped run, so that the next run only reads the footers of newer parts.
"""

import io
import itertools
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from agelens import provenance
from agelens.batch import parts
from agelens.batch.listing import Entry, Kind
from agelens.batch.parts import Part, read_part
from agelens.batch.storage import Store
from agelens.errors import BatchError

RUN, PLAN, MANIFEST = "run.json", "plan.json", "manifest.json"
CHUNK = 50_000  # entries in one file of the plan
MAX_PICTURES = 1000  # of a unit: what a killed worker does again
MIN_PICTURES = 16
_MIN_UNITS = 64  # for a small input, so that all workers have some
_MAX_UNITS = 10_000_000
_PLAN_SCHEMA = {"kind": pl.String, "place": pl.String, "start": pl.Int64, "stop": pl.Int64}
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
    started: dict[str, str] = run["listing"]
    return started


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
        chunk = self._read(_chunk_name(bisect_right(self._firsts, number) - 1))
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
        store.write(_chunk_name(len(firsts)), file.getvalue())
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


def _chunk_name(chunk: int) -> str:
    return f"plan/{chunk:05}.parquet"


class Ledger:
    """The committed parts of a run, by unit and slice."""

    def __init__(self, store: Store) -> None:
        """Find the committed parts of a store."""
        self._store = store
        self._parts: dict[tuple[int, int], tuple[Part, int]] = {}
        try:
            rows = json.loads(store.read(MANIFEST))["parts"]
            listed = [(Part(**row["part"]), int(row["bytes"])) for row in rows]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            listed = []
        known = {(part.unit, part.slice): (part, size) for part, size in listed}
        unknown = {}
        for file, size in store.sizes(parts.FOLDER).items():
            if match := _PART_NAME.fullmatch(file):
                key = int(match[1]), int(match[2])
                if key in known and known[key][1] == size:
                    self._parts[key] = known[key]
                else:
                    unknown[key] = size
        with ThreadPoolExecutor(_READERS) as pool:
            read = pool.map(lambda key: read_part(store, *key), unknown)
            for part, size in zip(read, unknown.values(), strict=True):
                if part is not None:
                    self.add(part, size)

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
        committed = [found for _, found in sorted(self._parts.items())]
        names = ("pictures", "faces", "errors", "rows")
        manifest = {
            "whole": whole,
            "totals": {name: sum(getattr(part, name) for part, _ in committed) for name in names},
            "parts": [{"part": asdict(part), "bytes": size} for part, size in committed],
        }
        self._store.write(MANIFEST, json.dumps(manifest).encode())
