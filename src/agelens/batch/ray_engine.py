"""The Ray engine: Ray Data on a cluster, with one actor per worker that loads the model once.

Ray repeats the units of a lost actor or machine; parts found committed are not predicted again.
One more actor tracks the units in progress, and so at which picture a worker was lost.
"""

import logging
import os
import pickle
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from agelens.batch.ledger import Plan, read_part
from agelens.batch.progress import Committed, CrashCounter, Deferred, Event, Predicted, WorkerLost
from agelens.batch.storage import Store
from agelens.batch.worker import ONE_THREAD, Job, Worker, memory_mb
from agelens.errors import AgelensError, BatchError, SourceUnreachable

MAX_TASKS = 5000  # Ray's tasks in one run; with more units than that, a task has several
_LOST = "it was killed, or its machine was lost"
_STORE_BYTES = 200_000_000  # of a Ray started here: only messages and small models go there
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no usage statistics are sent
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # the working folder is not sent to the machines
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # errors come as exceptions
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise it warns of a change to come
    "RAY_worker_niceness": "0",  # as fast as processes of the local engine
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay valid
}


@contextmanager
def connected(address: str | None, cores: int | None) -> Iterator[None]:
    """Connect to the Ray cluster at `address`, unless this process is connected already.

    None is RAY_ADDRESS, or else a Ray with `cores` (None: all) that runs here for the time being.
    Standard output is discarded meanwhile: Ray prints messages about lost actors there. Raises
    BatchError if Ray does not respond or stops the work.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    own = not ray.is_initialized()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            if own:
                _connect(address or os.environ.get("RAY_ADDRESS") or "local", cores)
            yield
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise BatchError(
                f"Ray ended the run: {last_line(error)}; run the same command again: committed "
                "work is kept"
            ) from error
        finally:
            if own:
                ray.shutdown()


def last_line(error: Exception) -> str:
    """Return the last line of an error of Ray, which follows its tracebacks."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def _connect(where: str, cores: int | None) -> None:
    import ray

    settings: dict[str, Any] = {}
    hint = "expected HOST:PORT of a cluster's head, or auto on one of its machines"
    if where == "local":
        settings = {"num_cpus": cores, "include_dashboard": False}
        settings["object_store_memory"] = _STORE_BYTES
        hint = "run the same command again, or work without Ray"
    stderr = os.dup(2)  # Ray prints its log level there, also from outside Python
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        ray.init(
            where, log_to_driver=False, logging_level=logging.CRITICAL,
            runtime_env={"env_vars": ONE_THREAD}, **settings,
        )  # fmt: skip
    except Exception as error:  # Ray raises many kinds, even a bare Exception
        raise BatchError(
            f"Ray does not start or respond ({where}): {last_line(error)}; {hint}"
        ) from error
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def run(
    job: Job, pending: Iterable[tuple[int, int]], workers: int | None, address: str | None
) -> Iterator[Event]:
    """Process the pending units, each from the given slice on, with `workers` actors.

    None is one actor per core of the cluster. `address` is the cluster's, as in `connected`.
    Every machine needs agelens, and sees the source and the output by the same paths or URLs.
    Raises BatchError if nothing can be written or Ray does not respond.
    """
    tasks = [{"unit": unit, "first": first} for unit, first in pending]
    if not tasks:
        return
    with connected(address, workers):
        import ray.data
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        resources: Callable[[], dict[str, float]] = ray.cluster_resources
        size = min(workers or max(1, int(resources().get("CPU", 1))), len(tasks))
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
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

        units = ray.data.from_items(tasks, override_num_blocks=min(len(tasks), MAX_TASKS))
        messages = units.map_batches(
            _Actor, fn_constructor_args=(job, model, track), batch_size=1, num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=size, initial_size=size),
        )  # fmt: skip
        try:
            for row in messages.iter_rows():
                message = pickle.loads(row["message"])  # noqa: S301  (from our own workers)
                if isinstance(message, AgelensError):
                    raise BatchError(str(message))
                yield message
        finally:
            ray.kill(tracker)


class _UnitTracker:
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
        self._pictures[unit] = name

    def end_unit(self, unit: int) -> None:
        self._pictures.pop(unit, None)


class _Actor:
    def __init__(self, job: Job, model: Any, track: Callable[..., Any]) -> None:
        """Load the model; `track(method, *args)` calls a method of the unit tracker."""
        self._track = track
        self._error: AgelensError | None = None
        self._name = f"{platform.node()}:{os.getpid()}"
        try:
            self._store = Store(job.output)
            self._plan = Plan(self._store)
            with tempfile.TemporaryDirectory(prefix="agelens-") as folder:
                if model is not None:
                    import ray

                    file = Path(folder, "model.onnx")
                    file.write_bytes(ray.get(model))
                    job = replace(job, model=str(file))
                self._worker = Worker(job, self._name)
        except AgelensError as error:  # reported with the first unit, since nobody hears it here
            self._error = error

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[bytes]]]:
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
