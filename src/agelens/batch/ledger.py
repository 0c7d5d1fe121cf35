"""What is committed: the parts of a run, and what the run is.

A part is one Parquet file with the answers to one slice of a unit. Its name follows from the
plan, and putting it there whole is the commit: it is there or it is not, and whoever does the
slice again, a worker that was thought dead included, puts the same file in the same place. A
part carries its counts in its footer. `manifest.json` sums up what a run has left behind, so
that the next one reads the footers of newer parts only; without it all footers are read.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from agelens import provenance
from agelens.batch import parquet_footer
from agelens.batch.store import Store
from agelens.errors import BatchError

FOLDER = "parts"
RUN = "run.json"
MANIFEST = "manifest.json"
METADATA = "agelens.part"
_NAME = re.compile(r"part-(\d{7})-(\d{6})\.parquet")
_READERS = 16


def file_name(unit: int, number: int) -> str:
    """Give the name of the part for slice `number` of a unit, in the folder of the run."""
    return f"{FOLDER}/part-{unit:07}-{number:06}.parquet"


@dataclass(frozen=True, slots=True)
class Part:
    """A committed part: the answers to slice `slice` of unit `unit`."""

    unit: int
    slice: int
    last: bool  # nothing of the unit comes after it
    pictures: int
    faces: int
    errors: int  # pictures that could not be used
    rows: int
    seconds: dict[str, float] = field(default_factory=dict)  # spent in each stage

    @property
    def name(self) -> str:
        """The part's file, in the folder of the run."""
        return file_name(self.unit, self.slice)

    def metadata(self) -> dict[str, str]:
        """What the part's footer carries."""
        return {METADATA: json.dumps(asdict(self))}


class Ledger:
    """The committed parts of a run, by unit."""

    def __init__(self, store: Store) -> None:
        """Find out what is committed."""
        self._store = store
        self._parts: dict[int, dict[int, Part]] = {}
        self._sizes: dict[str, int] = {}
        known = self._summed_up()
        unknown = []
        for name, size in store.sizes(FOLDER).items():
            if _NAME.fullmatch(name) is None:
                continue
            if name in known and known[name][1] == size:
                self._keep(known[name][0], size)
            else:
                unknown.append((name, size))
        with ThreadPoolExecutor(_READERS) as pool:
            for (name, size), part in zip(unknown, pool.map(self._read, unknown), strict=True):
                if part is not None and part.name == f"{FOLDER}/{name}":
                    self._keep(part, size)

    def _summed_up(self) -> dict[str, tuple[Part, int]]:
        try:
            said = json.loads(self._store.read(MANIFEST))
            rows = [(Part(**row["part"]), int(row["bytes"])) for row in said["parts"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}
        return {part.name.rpartition("/")[2]: (part, size) for part, size in rows}

    def _read(self, file: tuple[str, int]) -> Part | None:
        return read_part(self._store, f"{FOLDER}/{file[0]}")

    def _keep(self, part: Part, size: int) -> None:
        self._parts.setdefault(part.unit, {})[part.slice] = part
        self._sizes[part.name] = size

    def add(self, part: Part, size: int) -> None:
        """Take note of a part of `size` bytes that has been committed."""
        self._keep(part, size)

    def parts(self) -> Iterator[Part]:
        """Give the committed parts in order."""
        for unit in sorted(self._parts):
            for number in sorted(self._parts[unit]):
                yield self._parts[unit][number]

    def next_slice(self, unit: int) -> int | None:
        """Give the first slice of a unit that is not committed; None when all are."""
        have = self._parts.get(unit, {})
        number = 0
        while number in have:
            if have[number].last:
                return None
            number += 1
        return number

    def pending(self, units: int) -> Iterator[tuple[int, int]]:
        """Give, of units 0 to `units` - 1, those with work left and the slice to begin at."""
        for unit in range(units):
            begin = self.next_slice(unit)
            if begin is not None:
                yield unit, begin

    def sum_up(self, *, whole: bool) -> None:
        """Write the manifest; `whole` says whether all units are done."""
        rows = [{"part": asdict(part), "bytes": self._sizes[part.name]} for part in self.parts()]
        totals = {
            name: sum(getattr(part, name) for part in self.parts())
            for name in ("pictures", "faces", "errors", "rows")
        }
        said = {"whole": whole, "totals": totals, "parts": rows}
        self._store.write(MANIFEST, json.dumps(said).encode())


def read_part(store: Store, name: str) -> Part | None:
    """Read a part's footer; a damaged part counts for nothing and is made again."""
    try:
        about = parquet_footer.metadata(lambda n: store.tail(name, n))
        return Part(**json.loads(about[METADATA]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def open_run(store: Store, about: dict[str, Any], listing: dict[str, str]) -> dict[str, str]:
    """Begin a run in a store, or go on with the one that is there.

    `about` says what shapes the answers: source, model, options; `listing` how the source was
    named. Gives the `listing` with which the run was begun. Raises BatchError where the store
    holds another run, or something else.
    """
    try:
        before = json.loads(store.read(RUN))
    except FileNotFoundError:
        if strange := sorted(store.sizes()):
            raise BatchError(
                f"--output holds {strange[0]!r} but no run of  agelens batch: choose a new folder"
            ) from None
        said: dict[str, Any] = {"about": about, "listing": listing}
        said |= {"versions": provenance.versions(), "begun": provenance.now()}
        store.write(RUN, json.dumps(said, indent=2).encode())
        return listing
    except ValueError as error:
        raise BatchError(
            f"{RUN} of --output cannot be read ({error}): choose a new folder"
        ) from error
    there = before["about"]
    for name, value in about.items():
        if there.get(name) != value:
            raise BatchError(
                f"--output holds a run with another {name}: {there.get(name)!r} there, {value!r} "
                "asked for; ask for the same, or choose a new folder"
            )
    begun: dict[str, str] = before["listing"]
    return begun
