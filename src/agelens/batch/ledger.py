"""The committed parts of a run, and what the run is.

A part is one Parquet file with the predictions of one slice of a unit. The plan determines its
name, and writing the whole file commits it: the file exists or it does not, and whoever processes
the slice again, even a worker that was thought dead, writes the same file to the same place. A
part carries its counts in its footer. `manifest.json` summarises the parts of a finished or
stopped run, so that the next run only reads the footers of newer parts.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from agelens import provenance
from agelens.batch.locations import parquet_metadata
from agelens.batch.store import Store
from agelens.errors import BatchError

FOLDER = "parts"
RUN = "run.json"
MANIFEST = "manifest.json"
METADATA = "agelens.part"
_NAME = re.compile(r"part-(\d{7})-(\d{6})\.parquet")
_READERS = 16  # threads that read footers


def part_name(unit: int, number: int) -> str:
    """Return the file of the part for slice `number` of a unit, in the folder of the run."""
    return f"{FOLDER}/part-{unit:07}-{number:06}.parquet"


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

    @property
    def name(self) -> str:
        """The part's file, in the folder of the run."""
        return part_name(self.unit, self.slice)

    def metadata(self) -> dict[str, str]:
        """Return the metadata for the part's Parquet footer."""
        return {METADATA: json.dumps(asdict(self))}


class Ledger:
    """The committed parts of a run, by unit."""

    def __init__(self, store: Store) -> None:
        """Find the committed parts of a store."""
        self._store = store
        self._parts: dict[int, dict[int, Part]] = {}
        self._sizes: dict[str, int] = {}
        known = self._read_manifest()
        unknown = []
        for file, size in store.sizes(FOLDER).items():
            name = f"{FOLDER}/{file}"
            if name in known and known[name][1] == size:
                self.add(known[name][0], size)
            elif _NAME.fullmatch(file):
                unknown.append((name, size))
        with ThreadPoolExecutor(_READERS) as pool:
            parts = pool.map(lambda found: read_part(store, found[0]), unknown)
            for (name, size), part in zip(unknown, parts, strict=True):
                if part is not None and part.name == name:
                    self.add(part, size)

    def _read_manifest(self) -> dict[str, tuple[Part, int]]:
        try:
            manifest = json.loads(self._store.read(MANIFEST))
            rows = [(Part(**row["part"]), int(row["bytes"])) for row in manifest["parts"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}
        return {part.name: (part, size) for part, size in rows}

    def add(self, part: Part, size: int) -> None:
        """Record a committed part of `size` bytes."""
        self._parts.setdefault(part.unit, {})[part.slice] = part
        self._sizes[part.name] = size

    def parts(self) -> Iterator[Part]:
        """Yield the committed parts in order."""
        for _, parts in sorted(self._parts.items()):
            for _, part in sorted(parts.items()):
                yield part

    def next_slice(self, unit: int) -> int | None:
        """Return the first slice of a unit that is not committed, None if all are."""
        committed = self._parts.get(unit, {})
        number = 0
        while number in committed:
            if committed[number].last:
                return None
            number += 1
        return number

    def pending(self, units: int) -> Iterator[tuple[int, int]]:
        """Yield each unfinished unit of 0 to `units` - 1, with its first missing slice."""
        for unit in range(units):
            first_slice = self.next_slice(unit)
            if first_slice is not None:
                yield unit, first_slice

    def write_manifest(self, *, whole: bool) -> None:
        """Write the manifest; `whole` is whether all units are finished."""
        parts = list(self.parts())
        names = ("pictures", "faces", "errors", "rows")
        manifest = {
            "whole": whole,
            "totals": {name: sum(getattr(part, name) for part in parts) for name in names},
            "parts": [{"part": asdict(part), "bytes": self._sizes[part.name]} for part in parts],
        }
        self._store.write(MANIFEST, json.dumps(manifest).encode())


def read_part(store: Store, name: str) -> Part | None:
    """Read a part from its footer; None if it is missing or damaged, so that it is made again."""
    try:
        return Part(**json.loads(parquet_metadata(lambda n: store.tail(name, n))[METADATA]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def open_run(store: Store, about: dict[str, Any], listing: dict[str, str]) -> dict[str, str]:
    """Start a run in a store, or continue the one that is there.

    `about` holds what determines the predictions: source, model and options; `listing` how the
    source was given. Returns the `listing` with which the run was started. Raises BatchError if
    the store holds another run, or something else.
    """
    try:
        run = json.loads(store.read(RUN))
    except FileNotFoundError:
        if others := sorted(store.sizes()):
            raise BatchError(
                f"--output contains {others[0]!r} but no run of agelens batch: choose a new folder"
            ) from None
        run = {"about": about, "listing": listing, "versions": provenance.versions()}
        run["begun"] = provenance.now()
        store.write(RUN, json.dumps(run, indent=2).encode())
    except ValueError as error:
        raise BatchError(
            f"{RUN} of --output cannot be read ({error}): choose a new folder"
        ) from error
    for name, value in about.items():
        if run["about"].get(name) != value:
            raise BatchError(
                f"--output holds a run with another {name}: {run['about'].get(name)!r} there, "
                f"{value!r} requested; use the same value, or choose a new folder"
            )
    started: dict[str, str] = run["listing"]
    return started
