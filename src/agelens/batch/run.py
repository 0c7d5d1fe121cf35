"""Start a batch run or continue one that was stopped, and process it to the end; or estimate it."""

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from agelens.batch import ledger, listing, local_engine, ray_engine, storage
from agelens.batch.ledger import Ledger, Plan, Unit
from agelens.batch.listing import Entry, Kind
from agelens.batch.progress import Committed, Deferred, Progress
from agelens.batch.reader import Item, Origin, read_unit
from agelens.batch.storage import Store
from agelens.batch.worker import Job, Options, Rows, load_predictor, predict_items
from agelens.errors import BatchError
from agelens.inference.runtime import locate, shipped
from agelens.provenance import available_cores, sha256

ENGINES = ("local", "ray")
MAX_DEFERRED = 10  # unreadable units in a row before the run stops
STATUS = "status.json"
SAMPLE = 200  # pictures, for an estimate
CONTAINERS = 8  # shards and tables that are sampled
_TAR_BLOCK = 512  # bytes of a header, and of the blocks that content is padded to


def start(source: str, output: str, model: str | None, options: Options) -> Job:
    """Start a run, or continue it; nothing is listed or predicted yet.

    Raises ModelError for an unknown model, BatchError if `output` holds another run.
    """
    job = _make_job(source, output, model, options)
    full = source if storage.is_url(source) else str(Path.cwd() / storage.local_path(source))
    about = {"source": full, "model": job.model_sha256, **asdict(options)}
    # A continued run lists from where it was started, and as the source was then.
    started = ledger.open_run(Store(output), about, {"source": source, **asdict(job.origin)})
    origin = Origin(started["base"], started["root"])
    return replace(job, source=started["source"], origin=origin)


def _make_job(source: str, output: str, model: str | None, options: Options) -> Job:
    if not storage.is_url(output):
        output = str(Path(storage.local_path(output)).resolve())
    base = str(Path.cwd())
    path = locate(model)
    names = {file: name for name, file in shipped().items()}
    name = names.get(path, str(path.resolve()))
    origin = Origin(base, listing.root(source, base))
    return Job(output, origin, source, name, sha256(path), options)


def run(
    job: Job, on_listed: Callable[[int], None], on_progress: Callable[[Progress], None],
    engine: str = "local", workers: int | None = None, address: str | None = None,
) -> Progress:  # fmt: skip
    """Plan the work unless that is done, and process what is not committed.

    Calls `on_listed` with the number of entries found so far, `on_progress` after each event.
    `workers` is by default one per core; `address` is that of a Ray cluster. Raises SourceError if
    there is nothing to do, BatchError if another run writes to the output, the run cannot continue
    or a part of the source did not respond; the same call then continues.
    """
    store = Store(job.output)
    with store.exclusive():
        plan = open_plan(store, job, on_listed)
        committed = Ledger(store)
        progress = Progress(plan.totals, committed.parts(), engine, workers)
        pending = committed.pending(plan.totals.units)
        if engine == "ray":
            events = ray_engine.run(job, pending, workers, address)
        else:
            events = local_engine.run(job, plan.unit, pending, workers or available_cores())
        pause = 30.0 if storage.is_url(job.output) else 2.0  # seconds between two status files
        state, in_a_row = "stopped", 0
        try:
            written = _write_status(store, progress, "running")
            for event in events:
                progress.update(event)
                on_progress(progress)
                if isinstance(event, Committed):
                    committed.add(event.part, event.bytes)
                    in_a_row = 0
                in_a_row += isinstance(event, Deferred)
                if in_a_row >= MAX_DEFERRED:
                    break
                if time.monotonic() - written > pause:
                    written = _write_status(store, progress, "running")
            if progress.deferred:
                raise BatchError(
                    f"{len(progress.deferred):,} of {plan.totals.units:,} units could not be read, "
                    f"the last one: {list(progress.deferred.values())[-1]}; run the same command "
                    "again: committed parts are kept"
                )
            state = "finished"
        except BatchError:
            state = "failed"
            raise
        finally:
            with suppress(BatchError) if state != "finished" else nullcontext():
                committed.write_manifest(whole=state == "finished")
            _write_status(store, progress, state)
        return progress


def open_plan(store: Store, job: Job, on_listed: Callable[[int], None]) -> Plan:
    """Return the plan of a run; list the source and make the plan if there is none."""
    try:
        return Plan(store)
    except FileNotFoundError:
        return ledger.make_plan(store, listing.entries(job.source, job.origin.base), on_listed)


def _write_status(store: Store, progress: Progress, state: str) -> float:
    """Return the time of writing."""
    text = json.dumps(progress.to_dict(state), indent=2) + "\n"
    with suppress(BatchError):  # a full disk; if parts cannot be written either, the run stops
        store.write(STATUS, text.encode())
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Estimate:
    """The expected cost of a run."""

    pictures: int  # those in shards estimated by their bytes
    shards: int  # 0: `pictures` is exact
    sample: int  # pictures tried
    faces: float  # per picture
    errors: float  # share of pictures
    seconds: float  # per picture and worker
    bytes: float  # of output per picture
    stages: dict[str, float]  # seconds per picture


def estimate(
    source: str, model: str | None, options: Options, report: Callable[[int], None]
) -> Estimate:
    """Count what is in a source and predict a random sample of up to 200 pictures, on one thread.

    Nothing is written. Calls `report` with the number of pictures tried so far.
    """
    job = _make_job(source, "", model, options)
    base = job.origin.base
    chosen: list[Entry] = []
    rng = random.Random(0)  # noqa: S311  (a sample)
    pictures = shards = shard_bytes = sample_pictures = sample_bytes = 0
    for count, entry in enumerate(listing.entries(source, base)):
        pictures += entry.pictures or 0
        if entry.kind is Kind.SHARD:
            shards += 1
            with suppress(OSError):  # behind a URL it may be unknown too
                shard_bytes += entry.size or Path(base, entry.place).stat().st_size
        if len(chosen) < SAMPLE:  # reservoir sampling
            chosen.append(entry)
        elif (place := rng.randrange(count + 1)) < SAMPLE:
            chosen[place] = entry
    rows = Rows(job.model_sha256)
    predictor = load_predictor(job)
    predictor.predict(np.zeros((64, 64, 3), np.uint8))  # the first call is slower
    before = dict(predictor.seconds)
    start = time.perf_counter()

    def items() -> Iterator[Item]:
        nonlocal sample_pictures, sample_bytes
        for kind, item in itertools.islice(_sample(chosen, job.origin), SAMPLE):
            if kind is Kind.SHARD and isinstance(item.data, bytes):
                sample_pictures += 1
                sample_bytes += (-(-len(item.data) // _TAR_BLOCK) + 1) * _TAR_BLOCK
            yield item

    for _ in predict_items(predictor, items(), rows, options.chips):
        report(rows.pictures)
    seconds = time.perf_counter() - start
    tried = max(1, rows.pictures)
    if sample_pictures:
        pictures += round(shard_bytes / (sample_bytes / sample_pictures))
    stages = {stage: (t - before[stage]) / tried for stage, t in predictor.seconds.items()}
    return Estimate(
        pictures, shards, rows.pictures, rows.faces / tried, rows.errors / tried, seconds / tried,
        len(rows.parquet()) / tried, stages,
    )  # fmt: skip


def _sample(chosen: list[Entry], origin: Origin) -> Iterator[tuple[Kind, Item]]:
    places = tuple(entry.place for entry in chosen if entry.kind is Kind.PICTURE)
    units = [Unit(0, Kind.PICTURE, places)] if places else []
    containers = [entry for entry in chosen if entry.kind is not Kind.PICTURE]
    containers = containers[:: max(1, len(containers) // CONTAINERS)][:CONTAINERS]
    units += [Unit(0, e.kind, (e.place,), e.start, e.stop) for e in containers]
    for unit in units:
        most = SAMPLE if unit.kind is Kind.PICTURE else SAMPLE // len(containers)
        for item in itertools.islice(read_unit(unit, origin), most):
            yield unit.kind, item
