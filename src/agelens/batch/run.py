"""Start a batch run or continue one that was stopped, and process it to the end."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agelens.batch import listing, locations, plan
from agelens.batch.ledger import Ledger, open_run
from agelens.batch.plan import Plan
from agelens.batch.progress import FILE, Committed, Deferred, Event, Progress
from agelens.batch.reader import Origin
from agelens.batch.store import Store, open_store
from agelens.batch.worker import Job, Options, fingerprint, portable_name
from agelens.errors import BatchError
from agelens.provenance import available_cores

ENGINES = ("local", "ray")
MAX_DEFERRED = 10  # unreadable units in a row before the run stops


@dataclass(frozen=True, slots=True)
class Engine:
    """What processes the units."""

    name: str = "local"
    workers: int | None = None  # None: one for each core
    address: str | None = None  # of a Ray cluster; None: the configured one, or a new one here


def start(source: str, output: str, model: str | None, options: Options) -> tuple[Store, Job]:
    """Start a run, or continue it; nothing is listed or predicted yet.

    Raises ModelError for an unknown model, BatchError if `output` holds another run.
    """
    store = open_store(output)
    base = str(Path.cwd())
    full = source if locations.is_url(source) else str(Path(base, locations.local_path(source)))
    about = {"source": full, "model": fingerprint(model), **asdict(options)}
    # A continued run lists from where it was started, and as the source was then.
    started = open_run(
        store, about, {"source": source, "base": base, "root": listing.root(source, base)}
    )
    origin = Origin(started["base"], started["root"])
    return store, make_job(started["source"], origin, output, model, options)


def make_job(source: str, origin: Origin, output: str, model: str | None, options: Options) -> Job:
    """Return what a worker must know. Raises ModelError for an unknown model."""
    if not locations.is_url(output):
        output = str(Path(locations.local_path(output)).resolve())
    return Job(output, origin, source, portable_name(model), fingerprint(model), options)


def run(
    store: Store, job: Job, engine: Engine, on_listed: Callable[[int], None],
    on_progress: Callable[[Progress], None],
) -> Progress:  # fmt: skip
    """Plan the work unless that is done, and process what is not committed.

    Calls `on_listed` with the number of entries found so far, `on_progress` after each event.
    Raises SourceError if there is nothing to do, BatchError if the run cannot continue or a part
    of the source did not respond; the same call then continues.
    """
    units = open_plan(store, job, on_listed)
    ledger = Ledger(store)
    progress = Progress(units.totals, engine.name, engine.workers)
    progress.start(ledger)
    status = _StatusFile(store, progress, 30.0 if locations.is_url(job.output) else 2.0)
    state = "stopped"
    try:
        status.write("running")
        in_a_row = 0
        for event in _events(job, units, ledger, engine):
            progress.update(event)
            if isinstance(event, Committed):
                ledger.add(event.part, event.bytes)
                in_a_row = 0
            elif isinstance(event, Deferred):
                in_a_row += 1
                if in_a_row >= MAX_DEFERRED:
                    break
            on_progress(progress)
            status.refresh()
        if progress.deferred:
            raise BatchError(
                f"{len(progress.deferred):,} of {units.totals.units:,} units could not be read, "
                f"the last one: {list(progress.deferred.values())[-1]}; run the same command "
                "again: committed parts are kept"
            )
        state = "finished"
    except BatchError:
        state = "failed"
        raise
    finally:
        try:
            ledger.write_manifest(whole=state == "finished")
        except BatchError:
            if state == "finished":
                raise
        status.write(state)
    return progress


def open_plan(store: Store, job: Job, on_listed: Callable[[int], None]) -> Plan:
    """Return the plan of a run; list the source and make the plan if there is none."""
    try:
        return Plan(store)
    except FileNotFoundError:
        return plan.make(store, listing.entries(job.source, job.origin.base), on_listed)


def _events(job: Job, units: Plan, ledger: Ledger, engine: Engine) -> Iterator[Event]:
    pending = ledger.pending(units.totals.units)
    if engine.name == "ray":
        from agelens.batch import ray_engine

        return ray_engine.run(job, list(pending), engine.workers, engine.address)
    from agelens.batch import local_engine

    return local_engine.run(job, units.unit, pending, engine.workers or available_cores())


class _StatusFile:
    """Writes the status file every few seconds."""

    def __init__(self, store: Store, progress: Progress, seconds: float) -> None:
        self._store = store
        self._progress = progress
        self._seconds = seconds
        self._written = time.monotonic()

    def write(self, state: str) -> None:
        self._written = time.monotonic()
        text = json.dumps(self._progress.to_dict(state), indent=2) + "\n"
        try:
            self._store.write(FILE, text.encode())
        except BatchError:  # a full disk; if parts cannot be written either, that stops the run
            return

    def refresh(self) -> None:
        if time.monotonic() - self._written > self._seconds:
            self.write("running")


def read_status(output: str) -> dict[str, Any]:
    """Return the content of a run's status file. Raises FileNotFoundError."""
    status: dict[str, Any] = json.loads(open_store(output).read(FILE))
    return status
