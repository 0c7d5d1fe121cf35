"""Data-parallel training on several workers, of one machine or of a cluster, by Ray Train.

Each worker takes its part of each batch. The main worker writes the run folder, which, like the
data, all machines see by the same path. When a worker is lost, all start again from the last epoch.
A run may be resumed with another number of workers.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from rich.progress import Progress, TaskID

from agelens.batch.ray_engine import connected, last_line
from agelens.data.dataset import Dataset
from agelens.errors import AgelensError, TrainingError
from agelens.training.batches.distributed import Worker
from agelens.training.experiments import run
from agelens.training.loop.trainer import Trainer
from agelens.training.recipes.config import Config

MAX_FAILURES = 3  # times that workers may be lost
_PROGRESS_SECONDS = 0.5

Send = Callable[[str, Any], None]  # called with "error", "epoch" or "progress", and its value


def train(
    config: Config, data: Path, folder: Path, progress: Progress, workers: int, *,
    address: str | None = None, resume: bool = False, on_epoch: run.OnEpoch | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Do what `run.train` does on `workers` workers, with `run.threads` (0: one) cores each.

    `address` is the cluster's; None is RAY_ADDRESS, or else a Ray that is started here. Raises
    TrainingError, ConfigError or DatasetError as `run.train`, and BatchError where Ray cannot
    be reached.
    """
    run.may_begin(folder, resume)
    Dataset(data)  # its errors are raised before Ray is started
    folder.mkdir(parents=True, exist_ok=True)
    cores = config.run.threads or 1
    storage = folder.resolve() / ".ray"
    settings = {
        "cwd": str(Path.cwd()), "recipe": config.table(), "data": str(data),
        "folder": str(folder), "cores": cores,
    }  # fmt: skip
    try:
        with connected(address, workers * cores):
            _fit(config, workers, settings, storage, _Messages(progress, on_epoch))
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    return run.export_again(folder, data, progress)


def _fit(
    config: Config, workers: int, settings: dict[str, Any], storage: Path, messages: "_Messages"
) -> None:
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.queue import Queue

    resources: dict[str, float] = ray.cluster_resources()
    cores = settings["cores"]
    if (available := resources.get("CPU", 0)) < workers * cores:
        raise TrainingError(
            f"{workers} workers of {cores} cores: the cluster has {available:.0f} cores; take "
            "fewer --workers, or a lower run.threads"
        )
    gpus = _use_gpus(config, workers, resources.get("GPU", 0))
    queue = Queue(actor_options={"num_cpus": 0})
    trainer = TorchTrainer(
        _work,
        train_loop_config=settings | {"gpus": gpus, "queue": queue},
        # sums of single numbers stay on the CPU, so GPUs need both backends
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=gpus, resources_per_worker={"CPU": cores}
        ),
        run_config=RunConfig(
            name="run", storage_path=str(storage),
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
        ),
    )  # fmt: skip
    result: Future[object] = Future()

    def fit() -> None:
        try:
            result.set_result(trainer.fit())
        except BaseException as error:
            result.set_exception(error)

    # In the main thread Ray would take over Ctrl-C; from a thread it may never return after that.
    threading.Thread(target=fit, daemon=True).start()
    try:
        while not result.done():
            messages.receive(queue, 1.0)
        messages.receive(queue, 0.1)
        if messages.error is not None:
            raise TrainingError(messages.error)
        result.result()
    except TrainingFailedError as error:
        raise TrainingError(
            f"workers ended {MAX_FAILURES + 1} times, the last time: {last_line(error)}; "
            "the same command with --resume goes on"
        ) from error


def _use_gpus(config: Config, workers: int, available: float) -> bool:
    if config.run.device == "cuda" and available < workers:
        raise TrainingError(
            f"run.device = 'cuda' with {workers} workers: the cluster has {available:.0f} GPUs; "
            "take fewer --workers, or run.device = 'auto'"
        )
    return config.run.device != "cpu" and available >= workers


class _Messages:
    def __init__(self, progress: Progress, on_epoch: run.OnEpoch | None) -> None:
        self._progress, self._on_epoch = progress, on_epoch
        self._tasks: dict[int, TaskID] = {}
        self.error: str | None = None

    def receive(self, queue: Any, seconds: float) -> None:
        """Handle the main worker's messages until none has come for some seconds."""
        with suppress(Empty):
            while True:
                kind, value = queue.get(timeout=seconds)
                if kind == "error":
                    self.error = value
                elif kind == "epoch" and self._on_epoch is not None:
                    self._on_epoch(value)
                elif kind == "progress":
                    self._show_progress(*value)

    def _show_progress(self, number: int, description: str, done: float, total: float) -> None:
        if number not in self._tasks:
            for task in self._tasks.values():
                self._progress.remove_task(task)
            self._tasks = {number: self._progress.add_task(description, total=total)}
        self._progress.update(self._tasks[number], description=description, completed=done)


class _RemoteProgress(Progress):
    def __init__(self, send: Send) -> None:
        super().__init__(disable=True)
        self._send = send
        self._last = 0.0

    def update(self, task_id: TaskID, **fields: Any) -> None:
        super().update(task_id, **fields)
        self._forward(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._forward(task_id)

    def _forward(self, task_id: TaskID) -> None:
        if time.monotonic() - self._last > _PROGRESS_SECONDS:
            self._last = time.monotonic()
            task = self.tasks[self.task_ids.index(task_id)]
            self._send("progress", (task_id, task.description, task.completed, task.total))


def _work(settings: dict[str, Any]) -> None:  # in a worker's process
    import torch
    from ray import train as ray_train

    os.chdir(settings["cwd"])  # a recipe's paths are relative
    torch.set_num_threads(settings["cores"])
    context = ray_train.get_context()
    worker = Worker(context.get_world_rank(), context.get_world_size())
    queue = settings["queue"]

    def send(kind: str, value: Any) -> None:
        if worker.is_main:
            queue.put((kind, value))

    config = Config.check(settings["recipe"], "recipe")
    own = {"threads": settings["cores"], "device": "cuda" if settings["gpus"] else "cpu"}
    config = config.model_copy(update={"run": config.run.model_copy(update=own)})
    try:
        trainer = _build(config, Path(settings["data"]), Path(settings["folder"]), worker, send)
        trainer.fit(lambda row: send("epoch", row))
    except AgelensError as error:  # the same on all workers, and would be on another attempt
        send("error", str(error))


def _build(config: Config, data: Path, folder: Path, worker: Worker, send: Send) -> Trainer:
    trainer, error = None, None
    for mains_turn in (True, False):  # the other workers then read what the main one has cached
        if worker.is_main == mains_turn:
            try:
                trainer = run.begin(config, data, folder, _RemoteProgress(send), worker)
            except AgelensError as raised:
                error = raised
        if worker.all_reduce_sum(error is not None)[0]:
            break
    if error or trainer is None:
        raise error or TrainingError("the main worker cannot begin")
    trainer.distribute(worker)
    return trainer
