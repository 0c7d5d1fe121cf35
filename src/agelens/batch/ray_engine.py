"""The engine of a cluster: Ray Data, with an actor for each worker that loads the model once.

Ray hands out the units, and hands them out again when an actor or a machine is lost. A unit
that was done before the loss is found committed and not answered again. One actor beside the
workers, the witness, knows which units were begun and not ended: by that it is told that a
worker was lost, and at which picture, as the local engine knows it of its processes.
"""

import json
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agelens.batch import cluster
from agelens.batch.events import Committed, Deferred, Event, Lost, Memory
from agelens.batch.ledger import Part, file_name, read_part
from agelens.batch.local_engine import resident
from agelens.batch.losses import Losses
from agelens.batch.pipeline import Job, Pipeline
from agelens.batch.plan import Plan
from agelens.batch.store import open_store
from agelens.errors import AgelensError, BatchError, SourceUnreachable

BLOCKS = 5000
"""Ray's tasks in one run at most; with more units than that a task has several."""
_LOST = "it was killed, or its machine was lost"


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
    with cluster.connected(address, workers):
        for said in _told(job, pending, workers):
            yield from _events(said)


def _told(
    job: Job, pending: Sequence[tuple[int, int]], workers: int | None
) -> Iterator[dict[str, Any]]:
    """Let Ray do the units; give what the workers say."""
    import ray
    import ray.data

    resources: Callable[[], dict[str, float]] = ray.cluster_resources
    size = min(workers or max(1, int(resources().get("CPU", 1))), len(pending))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    units = ray.data.from_items(
        [{"unit": unit, "begin": begin} for unit, begin in pending],
        override_num_blocks=min(len(pending), BLOCKS),
    )
    witness = _called()
    told = units.map_batches(
        _Worker,
        fn_constructor_args=(job, _shipped(job), witness),
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=size, initial_size=size),
    )
    try:
        for row in told.iter_rows():
            yield json.loads(row["said"])
    finally:
        witness.dismiss()


def _shipped(job: Job) -> Any:
    """Put a model that does not come with agelens where all machines find it."""
    import ray

    file = Path(job.model)
    return ray.put(file.read_bytes()) if file.is_absolute() else None


def _called() -> "_Called":
    """Start a witness, on the machine without which the run ends anyway."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    place = NodeAffinitySchedulingStrategy(here, soft=False)
    actor = ray.remote(_Witness).options(num_cpus=0, scheduling_strategy=place)
    return _Called(actor.remote())


def _events(said: dict[str, Any]) -> Iterator[Event]:
    worker = said["worker"]
    if "error" in said:
        raise BatchError(said["error"])
    if "lost" in said:
        yield Lost(f"before {worker}", said["lost"])
    elif "deferred" in said:
        yield Deferred(worker, said["unit"], said["deferred"])
    else:
        yield Memory(worker, said["memory"])
        yield Committed(worker, Part(**said["part"]), said["bytes"])


class _Witness:
    """Knows which units are under way; an actor of its own."""

    def __init__(self) -> None:
        self._losses = Losses()
        self._open: dict[int, str | None] = {}

    def begin(self, unit: int) -> tuple[bool, dict[str, str]]:
        """Take note that a unit is begun.

        Gives whether it was before, by a worker that is lost, and which pictures not to touch.
        """
        again = unit in self._open
        if again:
            self._losses.note(unit, self._open[unit], _LOST)
        self._open[unit] = None
        return again, self._losses.deadly

    def at(self, unit: int, name: str) -> None:
        """Take note of the picture at which the worker of a unit is."""
        self._open[unit] = name

    def end(self, unit: int) -> None:
        """Take note that a unit has ended, whichever way."""
        self._open.pop(unit, None)


class _Called:
    """A witness in another process."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def begin(self, unit: int) -> tuple[bool, dict[str, str]]:
        """Call the witness's `begin`."""
        import ray

        try:
            said: tuple[bool, dict[str, str]] = ray.get(self._actor.begin.remote(unit))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        return said

    def at(self, unit: int, name: str) -> None:
        """Call the witness's `at`; it has heard it when this returns."""
        import ray

        ray.get(self._actor.at.remote(unit, name))

    def end(self, unit: int) -> None:
        """Call the witness's `end`."""
        import ray

        ray.get(self._actor.end.remote(unit))

    def dismiss(self) -> None:
        """End the witness's process; nobody asks it any more."""
        import ray

        ray.kill(self._actor)


class _Worker:
    """What an actor does; Ray makes one for each worker."""

    def __init__(self, job: Job, model: Any, witness: "_Witness | _Called") -> None:
        self._witness = witness
        self._wrong: AgelensError | None = None
        self._name = f"{platform.node()}:{os.getpid()}"
        try:
            self._store = open_store(job.output)
            self._plan = Plan(self._store)
            with _brought(job, model) as here:
                self._pipeline = Pipeline(here)
        except AgelensError as error:  # told with the first unit, where it can be heard
            self._wrong = error

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[str]]]:
        """Do one unit; give what there is to say, as JSON, of each part of it."""
        for number, begin in zip(batch["unit"], batch["begin"], strict=True):
            for said in self._work(int(number), int(begin)):
                yield {"said": [json.dumps(said | {"worker": self._name, "unit": int(number)})]}

    def _work(self, number: int, begin: int) -> Iterator[dict[str, Any]]:
        try:
            if self._wrong is not None:
                raise self._wrong
            # Ray may ask again for what a lost machine has done.
            while (part := read_part(self._store, file_name(number, begin))) is not None:
                yield {"part": asdict(part), "bytes": 0, "memory": resident()}
                if part.last:
                    return
                begin += 1
            yield from self._answer(number, begin)
        except SourceUnreachable as error:
            yield {"deferred": str(error)}
        except AgelensError as error:
            yield {"error": str(error)}

    def _answer(self, number: int, begin: int) -> Iterator[dict[str, Any]]:
        again, deadly = self._witness.begin(number)
        if again:
            yield {"lost": _LOST}
        # One loss may be chance; from then on it is known at which picture the next one is.
        witness = self._witness
        self._pipeline.at = (lambda name: witness.at(number, name)) if again else _unheard
        try:
            unit = self._plan.unit(number)
            for part, size in self._pipeline.work(unit, begin, lambda *counts: None, deadly):
                yield {"part": asdict(part), "bytes": size, "memory": resident()}
        finally:
            witness.end(number)


@contextmanager
def _brought(job: Job, model: Any) -> Iterator[Job]:
    """Lay down a model that has been sent, for as long as it takes to load it."""
    if model is None:
        yield job
        return
    import ray

    with tempfile.TemporaryDirectory(prefix="agelens-") as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(ray.get(model))
        yield replace(job, model=str(file))


def _unheard(name: str) -> None:
    return
