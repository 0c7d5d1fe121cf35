"""The Ray engine: Ray Data on a cluster, with one actor per worker that loads the model once.

Ray hands out the units, and hands them out again when an actor or a machine is lost. A unit that
was finished before the loss is found committed and not predicted again. One more actor tracks
which units were started but not finished: so the engine knows that a worker was lost, and at
which picture, as the local engine knows it of its processes.
"""

import logging
import os
import pickle
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agelens.batch import cluster
from agelens.batch.ledger import Plan
from agelens.batch.parts import read_part
from agelens.batch.progress import Committed, CrashCounter, Deferred, Event, Predicted, WorkerLost
from agelens.batch.storage import Store
from agelens.batch.worker import Job, Worker, memory_mb
from agelens.errors import AgelensError, BatchError, SourceUnreachable

MAX_TASKS = 5000
"""Ray's tasks in one run; with more units than that, a task has several."""
_LOST = "it was killed, or its machine was lost"


def run(
    job: Job, pending: Iterable[tuple[int, int]], workers: int | None, address: str | None
) -> Iterator[Event]:
    """Process the pending units, each from the given slice on, with `workers` actors.

    None is one actor per core of the cluster. `address` is the cluster's, as in
    `cluster.connected`. Every machine needs agelens, and sees the source and the output by the
    same paths or URLs. Raises BatchError if nothing can be written or Ray does not respond.
    """
    tasks = [{"unit": unit, "first": first} for unit, first in pending]
    if not tasks:
        return
    with cluster.connected(address, workers):
        for event in _messages(job, tasks, workers):
            if isinstance(event, AgelensError):
                raise BatchError(str(event))
            yield event


def _messages(
    job: Job, tasks: list[dict[str, int]], workers: int | None
) -> Iterator[Event | AgelensError]:
    import ray.data
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    resources: Callable[[], dict[str, float]] = ray.cluster_resources
    size = min(workers or max(1, int(resources().get("CPU", 1))), len(tasks))
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    units = ray.data.from_items(tasks, override_num_blocks=min(len(tasks), MAX_TASKS))
    file = Path(job.model)  # a model that is not shipped is sent to the machines
    model = ray.put(file.read_bytes()) if file.is_absolute() else None
    # the tracker is on this machine, without which the run ends anyway
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    tracker = ray.remote(_UnitTracker).options(num_cpus=0, scheduling_strategy=here).remote()

    def track(method: str, *args: Any) -> Any:  # runs in the workers
        try:
            return ray.get(getattr(tracker, method).remote(*args))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    messages = units.map_batches(
        _Actor, fn_constructor_args=(job, model, track), batch_size=1, num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=size, initial_size=size),
    )  # fmt: skip
    try:
        for row in messages.iter_rows():
            yield pickle.loads(row["message"])  # noqa: S301  (from our own workers)
    finally:
        ray.kill(tracker)


class _UnitTracker:
    """Tracks the units in progress; an actor of its own."""

    def __init__(self) -> None:
        self._crashes = CrashCounter()
        self._pictures: dict[int, str | None] = {}  # of each unit in progress, the current one

    def start_unit(self, unit: int) -> tuple[bool, dict[str, str]]:
        """Return whether a lost worker had started the unit before, and pictures to exclude."""
        repeated = unit in self._pictures
        if repeated:
            self._crashes.add(unit, self._pictures[unit], _LOST)
        self._pictures[unit] = None
        return repeated, self._crashes.excluded

    def start_picture(self, unit: int, name: str) -> None:
        """Record the picture that the worker of a unit reads."""
        self._pictures[unit] = name

    def end_unit(self, unit: int) -> None:
        """Record that a unit has ended, in success or error."""
        self._pictures.pop(unit, None)


class _Actor:
    """A worker as Ray Data calls it."""

    def __init__(self, job: Job, model: Any, track: Callable[..., Any]) -> None:
        """Load the model; `track(method, *args)` calls a method of the unit tracker."""
        self._track = track
        self._error: AgelensError | None = None
        self._name = f"{platform.node()}:{os.getpid()}"
        try:
            self._store = Store(job.output)
            self._plan = Plan(self._store)
            with _with_model_file(job, model) as local_job:
                self._worker = Worker(local_job, self._name)
        except AgelensError as error:  # reported with the first unit, since nobody hears it here
            self._error = error

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Process one unit; yield a pickled message for each part, loss or error."""
        for unit, first in zip(batch["unit"], batch["first"], strict=True):
            for message in self._process(int(unit), int(first)):
                yield {"message": [pickle.dumps(message)]}

    def _process(self, number: int, first: int) -> Iterator[Event | AgelensError]:
        try:
            if self._error is not None:
                raise self._error
            # Ray may repeat what a lost machine has finished.
            while (part := read_part(self._store, number, first)) is not None:
                yield Committed(self._name, part, 0, memory_mb())
                if part.last:
                    return
                first += 1
            yield from self._predict(number, first)
        except SourceUnreachable as error:
            yield Deferred(self._name, number, str(error))
        except AgelensError as error:
            yield error

    def _predict(self, number: int, first: int) -> Iterator[Event]:
        repeated, excluded = self._track("start_unit", number)
        if repeated:
            yield WorkerLost(f"before {self._name}", _LOST)

        def on_picture(name: str) -> None:
            # One loss may be chance; from then on, the tracker knows the picture of the next one.
            if repeated:
                self._track("start_picture", number, name)

        self._worker.on_picture = on_picture
        try:
            for event in self._worker.process(self._plan.unit(number), first, excluded):
                if not isinstance(event, Predicted):
                    yield event
        finally:
            self._track("end_unit", number)


@contextmanager
def _with_model_file(job: Job, model: Any) -> Iterator[Job]:
    """Write a model that was sent to a temporary file, while it is loaded."""
    if model is None:
        yield job
        return
    import ray

    with tempfile.TemporaryDirectory(prefix="agelens-") as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(ray.get(model))
        yield replace(job, model=str(file))
