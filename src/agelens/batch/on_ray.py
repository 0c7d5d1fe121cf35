"""The engine of a cluster: Ray Data, with an actor for each worker that loads the model once.

Ray hands out the units, and hands them out again when an actor or a machine is lost. A unit
that was done before the loss is found committed and not answered again.
"""

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agelens.batch.events import Committed, Deferred, Event
from agelens.batch.ledger import Part, file_name, read_part
from agelens.batch.pipeline import Job, Pipeline
from agelens.batch.plan import Plan
from agelens.batch.store import open_store
from agelens.errors import AgelensError, BatchError, SourceUnreachable

BLOCKS = 5000
"""Ray's tasks in one run at most; with more units than that a task has several."""
_STORE_BYTES = 200_000_000  # of a Ray that is started here: only counts go through it
_VARIABLES = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}


def run(
    job: Job, pending: Sequence[tuple[int, int]], workers: int | None, address: str | None
) -> Iterator[Event]:
    """Do the pending units, each from the slice given, on `workers` actors (None: all cores).

    `address` is the cluster's; None is RAY_ADDRESS, or else a Ray that is started here. Every
    machine needs agelens and sees the source and the output by the same paths or URLs. Raises
    BatchError where nothing can be written or Ray cannot be reached.
    """
    if not pending:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    own = not ray.is_initialized()
    if own:
        _connect(address, workers)
    try:
        resources: Callable[[], dict[str, float]] = ray.cluster_resources
        size = min(workers or max(1, int(resources().get("CPU", 1))), len(pending))
        quiet = ray.data.DataContext.get_current()
        quiet.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        units = ray.data.from_items(
            [{"unit": unit, "begin": begin} for unit, begin in pending],
            override_num_blocks=min(len(pending), BLOCKS),
        )
        told = units.map_batches(
            _Worker,
            fn_constructor_args=(job, _shipped(job)),
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=size, initial_size=size),
        )
        for row in told.iter_rows():
            yield _event(json.loads(row["event"]))
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise BatchError(
            f"Ray ended the run: {str(error).strip().splitlines()[-1]}; run the same command "
            "again: what is committed stays"
        ) from error
    finally:
        if own:
            ray.shutdown()


def _connect(address: str | None, workers: int | None) -> None:
    import ray

    where = address or os.environ.get("RAY_ADDRESS") or "local"
    here: dict[str, Any] = {}
    if where == "local":
        here = {"num_cpus": workers, "include_dashboard": False}
        here["object_store_memory"] = _STORE_BYTES
    try:
        ray.init(
            address=where,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": _VARIABLES},
            **here,
        )
    except Exception as error:  # Ray raises of all kinds, a bare Exception among them
        hint = "expected HOST:PORT of a cluster's head, or auto on one of its machines"
        if where == "local":
            hint = "run the same command again, or use --engine local"
        raise BatchError(f"Ray does not start or answer ({where}): {error}; {hint}") from error


def _shipped(job: Job) -> Any:
    """Put a model that does not come with agelens where all machines find it."""
    import ray

    file = Path(job.model)
    return ray.put(file.read_bytes()) if file.is_absolute() else None


def _event(said: dict[str, Any]) -> Event:
    if "part" in said:
        return Committed(said["worker"], Part(**said["part"]), said["bytes"])
    if "deferred" in said:
        return Deferred(said["worker"], said["unit"], said["deferred"])
    raise BatchError(said["error"])


class _Worker:
    """What an actor does; Ray makes one for each worker."""

    def __init__(self, job: Job, model: Any) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if model is not None:
            import ray

            self._folder = tempfile.TemporaryDirectory(prefix="agelens-")
            file = Path(self._folder.name, "model.onnx")
            file.write_bytes(ray.get(model))
            job = replace(job, model=str(file))
        self._name = f"{os.uname().nodename}:{os.getpid()}"
        self._store = open_store(job.output)
        self._plan = Plan(self._store)
        self._wrong: AgelensError | None = None
        try:
            self._pipeline = Pipeline(job)
        except AgelensError as error:  # told with the first unit, where it can be heard
            self._wrong = error

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[str]]]:
        """Do one unit; give an event, as JSON, for each part of it."""
        for number, begin in zip(batch["unit"], batch["begin"], strict=True):
            for said in self._work(int(number), int(begin)):
                yield {"event": [json.dumps(said | {"worker": self._name, "unit": int(number)})]}

    def _work(self, number: int, begin: int) -> Iterator[dict[str, Any]]:
        try:
            if self._wrong is not None:
                raise self._wrong
            # Ray may ask again for what a lost machine has done.
            while (part := read_part(self._store, file_name(number, begin))) is not None:
                yield {"part": asdict(part), "bytes": 0}
                if part.last:
                    return
                begin += 1
            unit = self._plan.unit(number)
            for part, size in self._pipeline.work(unit, begin, lambda *counts: None):
                yield {"part": asdict(part), "bytes": size}
        except SourceUnreachable as error:
            yield {"deferred": str(error)}
        except AgelensError as error:
            yield {"error": str(error)}
