"""Training on several workers, of one machine or of a cluster, by Ray Train.

Each worker has the whole training and learns from its share of each batch; see `share.py`. The
first one writes the run folder, which, like the data, all machines see by the same path. A
worker that is lost takes the others with it: all of them go on from the last epoch's checkpoint.
The number of workers is no part of a run, it may be another when it is resumed.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty
from typing import Any

from rich.progress import Progress, TaskID

from agelens.batch import cluster
from agelens.data.dataset import Dataset
from agelens.errors import AgelensError, TrainingError
from agelens.training.batches.distributed import Share
from agelens.training.experiments import run
from agelens.training.loop.trainer import Training
from agelens.training.recipes.config import Config

MOST_LOST = 3  # times that workers may be lost
_TELL_SECONDS = 0.5


def train(
    config: Config,
    data: Path,
    folder: Path,
    progress: Progress,
    workers: int,
    *,
    address: str | None = None,
    resume: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Do what `run.train` does on `workers` workers, with `run.threads` (0: one) cores each.

    `address` is the cluster's; None is RAY_ADDRESS, or else a Ray that is started here. Raises
    TrainingError, ConfigError or DatasetError as `run.train`, and BatchError where Ray cannot
    be reached.
    """
    run.may_begin(folder, resume)
    Dataset(data)  # what is wrong with it is said before Ray is started
    folder.mkdir(parents=True, exist_ok=True)
    cores = config.run.threads or 1
    own = folder.resolve() / ".ray"
    try:
        with cluster.connected(address, workers * cores):
            _fit(config, data, folder, progress, workers, cores, own, on_epoch)
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return run.export_again(folder, data, progress)


def _fit(
    config: Config, data: Path, folder: Path, progress: Progress, workers: int, cores: int,
    own: Path, on_epoch: Callable[[dict[str, float]], None] | None,
) -> None:  # fmt: skip
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.queue import Queue

    resources: Callable[[], dict[str, float]] = ray.cluster_resources
    have = resources().get("CPU", 0)
    if have < workers * cores:
        raise TrainingError(
            f"{workers} workers of {cores} cores: the cluster has {have:.0f} cores; take fewer "
            "--workers, or a lower run.threads"
        )
    gpus = _gpus(config, workers, resources().get("GPU", 0))
    said = Queue(actor_options={"num_cpus": 0})
    table = config.table()
    trainer = TorchTrainer(
        _work,
        train_loop_config={
            "here": str(Path.cwd()), "recipe": table, "data": str(data), "folder": str(folder),
            "cores": cores, "gpus": gpus, "said": said,
        },
        # sums of single numbers stay on the processor: so both, where there are GPUs
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=gpus, resources_per_worker={"CPU": cores}
        ),
        run_config=RunConfig(
            name="run", storage_path=str(own),
            failure_config=FailureConfig(max_failures=MOST_LOST),
        ),
    )  # fmt: skip
    told = _Told(progress, on_epoch)
    ending = _aside(trainer.fit)
    try:
        while not ending.done():
            _hear(said, told, 1.0)
        _hear(said, told, 0.1)
        if told.wrong is not None:
            raise TrainingError(told.wrong)
        ending.result()
    except TrainingFailedError as error:
        raise TrainingError(
            f"workers ended {MOST_LOST + 1} times, the last time: {cluster.last_line(error)}; "
            "the same command with --resume goes on"
        ) from error


def _aside(fit: Callable[[], object]) -> Future[None]:
    """Run `fit` in a thread of its own: in this one Ray would take Ctrl-C for itself.

    Nobody waits for the thread when the process ends: stopped in the middle, Ray may never
    answer it.
    """
    ending: Future[None] = Future()

    def run() -> None:
        try:
            fit()
        except BaseException as error:
            ending.set_exception(error)
        else:
            ending.set_result(None)

    threading.Thread(target=run, daemon=True).start()
    return ending


def _gpus(config: Config, workers: int, have: float) -> bool:
    """Say whether each worker gets a GPU; raise TrainingError where the recipe wants more."""
    if config.run.device == "cuda" and have < workers:
        raise TrainingError(
            f"run.device = 'cuda' with {workers} workers: the cluster has {have:.0f} GPUs; take "
            "fewer --workers, or run.device = 'auto'"
        )
    return config.run.device != "cpu" and have >= workers


def _hear(said: Any, told: "_Told", seconds: float) -> None:
    try:
        while True:
            told.take(*said.get(timeout=seconds))
    except Empty:
        return


class _Told:
    """Shows what the first worker tells."""

    def __init__(
        self, progress: Progress, on_epoch: Callable[[dict[str, float]], None] | None
    ) -> None:
        self._progress = progress
        self._on_epoch = on_epoch
        self._tasks: dict[int, TaskID] = {}
        self.wrong: str | None = None

    def take(self, kind: str, value: Any) -> None:
        """Take one message."""
        if kind == "wrong":
            self.wrong = value
        elif kind == "epoch" and self._on_epoch is not None:
            self._on_epoch(value)
        elif kind == "bar":
            number, description, done, total = value
            if number not in self._tasks:
                for task in self._tasks.values():
                    self._progress.remove_task(task)
                self._tasks = {number: self._progress.add_task(description, total=total)}
            self._progress.update(self._tasks[number], description=description, completed=done)


class _Relay(Progress):
    """A progress display that is seen elsewhere."""

    def __init__(self, tell: Callable[[str, Any], None]) -> None:
        super().__init__(disable=True)
        self._tell = tell
        self._last = 0.0

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """Update a task as Progress does, and tell of it now and then."""
        super().update(task_id, **fields)
        self._now_and_then(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task as Progress does, and tell of it now and then."""
        super().advance(task_id, advance)
        self._now_and_then(task_id)

    def _now_and_then(self, task_id: TaskID) -> None:
        if time.monotonic() - self._last > _TELL_SECONDS:
            self._last = time.monotonic()
            task = self.tasks[self.task_ids.index(task_id)]
            self._tell("bar", (task_id, task.description, task.completed, task.total))


def _work(given: dict[str, Any]) -> None:
    """Train as one of the workers. Runs in the worker's process."""
    import torch
    from ray import train as ray_train

    os.chdir(given["here"])  # a recipe's paths are relative
    torch.set_num_threads(given["cores"])
    context = ray_train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    tell = _teller(given["said"]) if share.first else _unheard
    config = Config.check(given["recipe"], "recipe")
    own = {"threads": given["cores"], "device": "cuda" if given["gpus"] else "cpu"}
    config = config.model_copy(update={"run": config.run.model_copy(update=own)})
    try:
        training = _built(config, Path(given["data"]), Path(given["folder"]), share, tell)
        training.fit(lambda row: tell("epoch", row))
    except AgelensError as error:  # all workers meet the same; tried again, they would once more
        tell("wrong", str(error))


def _built(
    config: Config, data: Path, folder: Path, share: Share, tell: Callable[[str, Any], None]
) -> Training:
    """Prepare the training; the first worker before the others, who read what it has made."""
    training: Training | None = None
    wrong: AgelensError | None = None
    for first in (True, False):
        if share.first == first:
            try:
                training = run.begin(config, data, folder, _Relay(tell), share)
            except AgelensError as error:
                wrong = error
        if share.total(wrong is not None)[0]:
            break
    if training is None or wrong is not None:
        raise wrong or TrainingError("the first worker cannot begin")
    training.join(share)
    return training


def _teller(said: Any) -> Callable[[str, Any], None]:
    return lambda kind, value: said.put((kind, value))


def _unheard(kind: str, value: Any) -> None:
    return
