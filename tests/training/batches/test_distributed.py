import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed, nn

from agelens.data.chips import cached
from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.training.batches.distributed import SINGLE_WORKER, SyncBatchNorm, Worker
from agelens.training.loop.trainer import Trainer
from agelens.training.networks import checkpoint
from processes import FORKSERVER
from runs import QUIET, StoppedError, figures, stop_after, tiny


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


PICTURES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 3 + 1


def take_one_step(worker: Worker, folder: Path) -> None:
    network = small()
    parallel = worker.parallelise(network)
    assert isinstance(network[1], SyncBatchNorm)
    own = torch.from_numpy(worker.shard(PICTURES.numpy()).copy())
    weight = len(own) * worker.world_size / 5
    torch.save(gradients(network, parallel, own, weight), folder / f"{worker.rank}")
    assert worker.all_reduce_sum(1.5, worker.rank) == [3.0, 1.0]
    assert worker.all_gather(np.arange(3)[: worker.rank + 1]).tolist() == [0, 0, 1]
    assert worker.broadcast(worker.is_main)
    assert not worker.broadcast(not worker.is_main)


# of 61 faces in batches of 20 the last one has a single face
RECIPE = tiny(schedule__epochs=2, optimizer__batch=20)


def work(worker: Worker, folder: Path, data: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=worker.rank, world_size=worker.world_size
    )
    take_one_step(worker, folder)
    trainer = Trainer(RECIPE, Dataset(data), folder, QUIET)
    trainer.distribute(worker)
    with pytest.raises(StoppedError):
        trainer.fit(stop_after(1))
    distributed.destroy_process_group()
    os._exit(0)  # the threads of gloo may abort a process that ends while they do


@pytest.fixture(scope="module")
def folder(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers")
    cached(Dataset(small_data), QUIET)
    processes = [
        FORKSERVER.Process(target=work, args=(Worker(rank, 2), folder, small_data))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(900)
        assert process.exitcode == 0
    return folder


def test_gradients_and_statistics_are_those_of_the_whole_batch(folder: Path) -> None:
    network = small()
    whole = gradients(network, network, PICTURES, 1.0)
    for rank in (0, 1):
        ours = torch.load(folder / f"{rank}")
        assert ours.keys() == whole.keys()
        for name, value in whole.items():
            assert torch.allclose(ours[name], value, rtol=1e-4, atol=1e-5), name


def test_resume_with_one_worker_is_the_same(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    Trainer(RECIPE, dataset, tmp_path, QUIET).fit()
    assert len(figures(folder)) == 1
    resumed = Trainer(RECIPE, dataset, folder, QUIET)
    resumed.resume()
    resumed.fit()
    for ours, theirs in zip(figures(folder), figures(tmp_path), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-3)
    ours, theirs = (checkpoint.load(run / "last.safetensors")[0] for run in (folder, tmp_path))
    assert ours.keys() == theirs.keys()


def test_what_cannot_be_distributed_is_an_error(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="BatchNorm1d"):
        Worker(0, 2).parallelise(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    with pytest.raises(TrainingError, match=r"40 workers: expected at most \d+"):
        Trainer(RECIPE, dataset, tmp_path, QUIET).distribute(Worker(1, 40))


def test_a_single_worker_changes_nothing() -> None:
    network = small()
    assert SINGLE_WORKER.parallelise(network) is network
    assert SINGLE_WORKER.all_reduce_sum(1, 2.5) == [1, 2.5]
