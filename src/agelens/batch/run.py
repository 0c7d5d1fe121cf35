"""A batch run from its beginning, or from where the last one was stopped, to its end."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agelens.batch import listing, locations, plan
from agelens.batch.events import Committed, Deferred, Event
from agelens.batch.ledger import Ledger, open_run
from agelens.batch.pipeline import Job, fingerprint, model_path
from agelens.batch.plan import Plan
from agelens.batch.reader import Where
from agelens.batch.status import FILE, Progress
from agelens.batch.store import Store, open_store
from agelens.errors import BatchError

ENGINES = ("local", "ray")
MOST_DEFERRED = 10  # units in a row that cannot be read before the run stops
_STATUS_SECONDS = {False: 2.0, True: 30.0}  # between two status files; in an object store: True


@dataclass(frozen=True, slots=True)
class Options:
    """How pictures are answered: what makes one run another run."""

    flip: bool | None = None
    longest: int = 1280
    gender_threshold: float = 0.5
    min_face: float = 0
    max_faces: int | None = None
    chips: bool = False


@dataclass(frozen=True, slots=True)
class Engine:
    """What does the work."""

    name: str = "local"
    workers: int | None = None  # None: one for each core
    address: str | None = None  # of a Ray cluster; None: the one at hand, or one started here


def begin(source: str, output: str, model: str | None, options: Options) -> tuple[Store, Job]:
    """Begin a run, or go on with it; nothing is listed or answered yet.

    Raises ModelError for an unknown model, BatchError where `output` holds another run.
    """
    store = open_store(output)
    base = str(Path.cwd())
    full = source if locations.is_url(source) else str(Path(base, locations.local(source)))
    about = {"source": full, "model": fingerprint(model), **asdict(options)}
    begun = open_run(
        store, about, {"source": source, "base": base, "root": listing.root(source, base)}
    )
    where = Where(begun["base"], begun["root"])  # as they were when the source was there
    return store, job_of(begun["source"], where, output, model, options)


def job_of(source: str, where: Where, output: str, model: str | None, options: Options) -> Job:
    """Say what a worker has to know."""
    return Job(
        output=output if locations.is_url(output) else str(Path(locations.local(output)).resolve()),
        where=where,
        source=source,
        model=model_path(model),
        model_sha256=fingerprint(model),
        **asdict(options),
    )


def run(
    store: Store, job: Job, engine: Engine, listed: Callable[[int], None],
    watch: Callable[[Progress], None],
) -> Progress:  # fmt: skip
    """List what there is to do unless that is done, and answer what is not committed.

    `listed` is called with the number of entries found so far, `watch` after each event. Raises
    SourceError where there is nothing to do, BatchError where the run cannot go on, or where
    some of the source did not answer; the same call then goes on.
    """
    units = _plan(store, job, listed)
    ledger = Ledger(store)
    progress = Progress(units.totals, engine.name, engine.workers)
    progress.begin(ledger)
    teller = _Teller(store, progress, locations.is_url(job.output))
    state = "stopped"
    try:
        teller.tell("running")
        in_a_row = 0
        for event in _events(job, units, ledger, engine):
            progress.take(event)
            if isinstance(event, Committed):
                ledger.add(event.part, event.bytes)
                in_a_row = 0
            elif isinstance(event, Deferred):
                in_a_row += 1
                if in_a_row >= MOST_DEFERRED:
                    break
            watch(progress)
            teller.now_and_then()
        if progress.deferred:
            state = "failed"
            raise BatchError(
                f"{len(progress.deferred):,} of {units.totals.units:,} units could not be read, "
                f"the last one: {list(progress.deferred.values())[-1]}; run the same command "
                "again: what is committed stays"
            )
        state = "finished"
    except BatchError:
        state = "failed"
        raise
    finally:
        teller.end(state, ledger)
    return progress


def _plan(store: Store, job: Job, listed: Callable[[int], None]) -> Plan:
    try:
        return Plan(store)
    except FileNotFoundError:
        found = listing.entries(job.source, job.where.base)
        return plan.make(store, found, listed)


def _events(job: Job, units: Plan, ledger: Ledger, engine: Engine) -> Iterator[Event]:
    pending = ledger.pending(units.totals.units)
    if engine.name == "ray":
        from agelens.batch import ray_engine

        return ray_engine.run(job, list(pending), engine.workers, engine.address)
    from agelens.batch import local_engine

    return local_engine.run(job, units.unit, pending, engine.workers or cores())


class _Teller:
    """Writes the status file, and at the end the manifest; a full disk does not stop a run here."""

    def __init__(self, store: Store, progress: Progress, far: bool) -> None:
        self._store = store
        self._progress = progress
        self._every = _STATUS_SECONDS[far]
        self._last = time.monotonic()

    def tell(self, state: str) -> None:
        self._last = time.monotonic()
        said = json.dumps(self._progress.to_dict(state), indent=2) + "\n"
        try:
            self._store.write(FILE, said.encode())
        except BatchError:  # the parts are what counts; if they cannot be written either, that ends
            return

    def now_and_then(self) -> None:
        if time.monotonic() - self._last > self._every:
            self.tell("running")

    def end(self, state: str, ledger: Ledger) -> None:
        try:
            ledger.sum_up(whole=state == "finished")
        except BatchError:
            if state == "finished":
                raise
        self.tell(state)


def cores() -> int:
    """Give the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def read_status(output: str) -> dict[str, Any]:
    """Give what the status file of a run says. Raises FileNotFoundError."""
    said: dict[str, Any] = json.loads(open_store(output).read(FILE))
    return said
