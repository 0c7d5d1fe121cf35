"""Two workers with halves of each batch learn what one learns from the whole."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import distributed, nn

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.distributed import (
    SINGLE_WORKER,
    SyncBatchNorm,
    Worker,
    synchronise_batch_norm,
)
from agelens.training.batches.loader import Loader
from agelens.training.loop.trainer import Trainer
from agelens.training.networks import checkpoint
from agelens.training.recipes.config import AugmentConfig, Config
from processes import FORKSERVER

TINY = "tiny"
TIMED = ("train_seconds", "faces_per_second")


def run_workers(count: int, work: Callable[..., None], folder: Path, *arguments: object) -> None:
    """Run `work(worker, folder, ...)` in processes that are one process group."""
    processes = [
        FORKSERVER.Process(target=_in_group, args=(Worker(rank, count), work, folder, *arguments))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(900)
        assert process.exitcode == 0


def _in_group(worker: Worker, work: Callable[..., None], folder: Path, *arguments: object) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=worker.rank, world_size=worker.world_size
    )
    work(worker, folder, *arguments)
    distributed.destroy_process_group()
    os._exit(0)  # the threads of gloo may abort a process that ends while they do


def small() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)
    )


def gradients(
    network: nn.Module, forward: nn.Module, x: torch.Tensor, weight: float
) -> dict[str, Any]:
    ((forward(x) ** 3).mean() * weight).backward()
    return {name: p.grad for name, p in network.named_parameters()} | dict(network.named_buffers())


def five_pictures() -> torch.Tensor:
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 3 + 1


def take_one_step(worker: Worker, folder: Path) -> None:
    network = small()
    parallel = worker.parallelise(network)
    assert isinstance(network[1], SyncBatchNorm)
    own = torch.from_numpy(worker.shard(five_pictures().numpy()).copy())
    weight = len(own) * worker.world_size / 5
    torch.save(gradients(network, parallel, own, weight), folder / f"{worker.rank}")
    assert worker.all_reduce_sum(1.5, worker.rank) == [3.0, 1.0]
    assert worker.all_gather(np.arange(3)[: worker.rank + 1]).tolist() == [0, 0, 1]
    assert worker.broadcast(worker.is_main)
    assert not worker.broadcast(not worker.is_main)


def test_gradients_and_statistics_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    run_workers(2, take_one_step, tmp_path)
    network = small()
    whole = gradients(network, network, five_pictures(), 1.0)
    for rank in (0, 1):
        ours = torch.load(tmp_path / f"{rank}")
        assert ours.keys() == whole.keys()
        for name, value in whole.items():
            assert torch.allclose(ours[name], value, rtol=1e-4, atol=1e-5), name


def test_batch_norm_that_cannot_be_synchronised_is_an_error() -> None:
    with pytest.raises(TrainingError, match="BatchNorm1d"):
        synchronise_batch_norm(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))


def history(run: Path) -> list[dict[str, float]]:
    rows = csv.DictReader((run / "history.csv").read_text("utf-8").splitlines())
    return [{k: float(v) for k, v in row.items() if k not in TIMED} for row in rows]


def recipe(epochs: int) -> Config:
    # of 216 faces in batches of 43 the last one has a single face
    return Config.read(TINY, {"schedule.epochs": epochs, "optimizer.batch": 43})


def train_until(worker: Worker, folder: Path, data: Path, epochs: int) -> None:
    trainer = Trainer(recipe(2), Dataset(data), folder, Progress(disable=True))
    if (folder / "last.safetensors").exists():
        trainer.resume()
    trainer.distribute(worker)

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == epochs:
            raise SystemExit(0)

    trainer.fit(stop)


def test_resume_with_another_number_of_workers_follows_the_same_curve(
    data: Path, tmp_path: Path
) -> None:
    one, several = tmp_path / "one", tmp_path / "several"
    one.mkdir()
    several.mkdir()
    Trainer(recipe(2), Dataset(data), one, Progress(disable=True)).fit()
    run_workers(2, train_until, several, data, 1)
    assert len(history(several)) == 1
    (several / "group").unlink(missing_ok=True)
    run_workers(3, train_until, several, data, 9)
    for ours, theirs in zip(history(several), history(one), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-3)
    ours, theirs = (checkpoint.load(run / "last.safetensors")[0] for run in (several, one))
    assert ours.keys() == theirs.keys()


def test_the_shards_of_all_workers_make_the_whole_batch() -> None:
    chips = np.zeros((10, 200, 200, 3), np.uint8)
    rows = np.arange(10)
    whole = Loader(chips, rows, rows, rows % 2, 4)
    shards = [whole.for_worker(Worker(rank, 3)) for rank in range(3)]
    augment = Augment(AugmentConfig())
    together = zip(*(one.shuffled(augment, 32, 0, 0) for one in shards), strict=True)
    for batches, of_one in zip(together, whole.shuffled(augment, 32, 0, 0), strict=False):
        mixed = np.stack([batch.ages[0] for batch in batches])
        assert mixed.tolist() == of_one.ages[:3].tolist()
    seen = [age for one in shards for batch in one.in_order() for age in batch.ages]
    assert sorted(seen) == list(range(10))
    assert {len(list(one.shuffled(augment, 32, 0, 0))) for one in shards} == {2}


def test_more_workers_than_faces_in_a_batch_are_an_error(small_data: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(1), Dataset(small_data), tmp_path, Progress(disable=True))
    with pytest.raises(TrainingError, match=r"40 workers: expected at most \d+"):
        trainer.distribute(Worker(1, 40))


def test_a_single_worker_changes_nothing() -> None:
    network = small()
    assert SINGLE_WORKER.parallelise(network) is network
    assert SINGLE_WORKER.all_reduce_sum(1, 2.5) == [1, 2.5]
    assert SINGLE_WORKER.seed_offset == 0
