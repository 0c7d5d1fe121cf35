"""Two workers with halves of each batch learn what one learns of the whole."""

import csv
import multiprocessing
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
from agelens.training.batches.distributed import ALONE, Share
from agelens.training.batches.loader import Loader
from agelens.training.batches.sync_batch_norm import SharedNorm, share_norms
from agelens.training.loop.trainer import Training
from agelens.training.networks import checkpoint
from agelens.training.recipes.config import AugmentConfig, Config
from drawn import write_dataset

TINY = "tiny"


def workers(count: int, work: Callable[..., None], folder: Path, *given: object) -> None:
    """Run `work(share, folder, ...)` in processes that are one process group."""
    context = multiprocessing.get_context("spawn")
    started = [
        context.Process(target=_as_one, args=(Share(rank, count), work, folder, *given))
        for rank in range(count)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(900)
        assert process.exitcode == 0


def _as_one(share: Share, work: Callable[..., None], folder: Path, *given: object) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=share.rank, world_size=share.workers
    )
    work(share, folder, *given)
    distributed.destroy_process_group()
    os._exit(0)  # the threads of gloo may abort a process that ends while they do


def learn(network: nn.Module, called: nn.Module, x: torch.Tensor, weigh: float) -> dict[str, Any]:
    y = called(x)
    ((y**3).mean() * weigh).backward()
    return {name: p.grad for name, p in network.named_parameters()} | dict(network.named_buffers())


def small() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)
    )


def a_step(share: Share, folder: Path) -> None:
    network = small()
    called = share.spread(network)
    assert isinstance(network[1], SharedNorm)
    x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 3 + 1
    mine = torch.from_numpy(share.of(x.numpy()).copy())
    torch.save(
        learn(network, called, mine, len(mine) * share.workers / 5), folder / f"{share.rank}"
    )
    assert share.total(1.5, share.rank) == [3.0, 1.0]
    assert share.all(np.arange(3)[: share.rank + 1]).tolist() == [0, 0, 1]
    assert share.agree(share.first)
    assert not share.agree(not share.first)


def test_gradients_and_statistics_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    workers(2, a_step, tmp_path)
    network = small()
    x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 3 + 1
    whole = learn(network, network, x, 1.0)
    for rank in (0, 1):
        ours = torch.load(tmp_path / f"{rank}")
        assert ours.keys() == whole.keys()
        for name, value in whole.items():
            assert torch.allclose(ours[name], value, rtol=1e-4, atol=1e-5), name


def test_kinds_of_statistics_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(TrainingError, match="BatchNorm1d"):
        share_norms(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))


def history(run: Path) -> list[dict[str, float]]:
    rows = csv.DictReader((run / "history.csv").read_text("utf-8").splitlines())
    return [{k: float(v) for k, v in row.items() if k not in TIMED} for row in rows]


TIMED = ("train_seconds", "faces_per_second")


def part(share: Share, folder: Path, data: Path, epochs: int) -> None:
    training = Training(recipe(3), Dataset(data), folder, Progress(disable=True))
    if (folder / "last.safetensors").exists():
        training.resume()
    training.join(share)

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == epochs:
            raise SystemExit(0)

    training.fit(stop)


def recipe(epochs: int) -> Config:
    # of 216 faces in batches of 43 the last one has a single face
    return Config.read(TINY, {"schedule.epochs": epochs, "optimizer.batch": 43})


def test_a_run_goes_on_with_another_number_of_workers_on_the_same_curve(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    for name in ("one", "shared"):
        (tmp_path / name).mkdir()
    Training(recipe(3), Dataset(data), tmp_path / "one", Progress(disable=True)).fit()
    workers(2, part, tmp_path / "shared", data, 2)
    assert len(history(tmp_path / "shared")) == 2
    (tmp_path / "shared/group").unlink(missing_ok=True)
    workers(3, part, tmp_path / "shared", data, 9)
    for ours, theirs in zip(history(tmp_path / "shared"), history(tmp_path / "one"), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-3)
    ours, theirs = (
        checkpoint.load(tmp_path / name / "last.safetensors")[0] for name in ("shared", "one")
    )
    assert ours.keys() == theirs.keys()


def test_every_face_is_in_one_share() -> None:
    chips = np.zeros((10, 200, 200, 3), np.uint8)
    rows = np.arange(10)
    whole = Loader(chips, rows, rows, rows % 2, 4)
    shares = [whole.shared(Share(rank, 3)) for rank in range(3)]
    augment = Augment(AugmentConfig())
    together = zip(*(one.shuffled(augment, 32, 0, 0) for one in shares), strict=True)
    for batches, of_one in zip(together, whole.shuffled(augment, 32, 0, 0), strict=False):
        mixed = np.stack([batch.ages[0] for batch in batches])
        assert mixed.tolist() == of_one.ages[:3].tolist()
    seen = [age for one in shares for batch in one.plain() for age in batch.ages]
    assert sorted(seen) == list(range(10))
    assert {len(list(one.shuffled(augment, 32, 0, 0))) for one in shares} == {2}


def test_more_workers_than_faces_in_a_batch_are_refused(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", 60)
    training = Training(recipe(1), Dataset(data), tmp_path, Progress(disable=True))
    with pytest.raises(TrainingError, match=r"40 workers: expected at most \d+"):
        training.join(Share(1, 40))


def test_one_worker_is_as_before() -> None:
    network = small()
    assert ALONE.spread(network) is network
    assert ALONE.total(1, 2.5) == [1, 2.5]
    assert ALONE.seed == 0
