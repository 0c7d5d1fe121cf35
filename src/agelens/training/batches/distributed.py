"""One worker's part of a run on several: a share of each batch, and sums over all workers.

The batches are those of a run on one worker; each worker learns from its share of each. What is
a mean over a batch there is one here too: losses and gradients are weighed by how many faces a
worker has, and batch statistics are taken over all workers (`shared_norm.py`). So the number of
workers changes nothing but the speed, the drawings of dropout, mixup and skipped blocks, and
which faces `loss.trim` leaves out, which each worker chooses of its own share.
"""

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn

from agelens.training.batches.sync_batch_norm import share_norms

Number = TypeVar("Number", bound=np.generic)


class Share:
    """Worker `rank` of `workers`; the only one, unless told otherwise."""

    def __init__(self, rank: int = 0, workers: int = 1) -> None:
        """Take this worker's number, from 0. Several are of torch's process group."""
        self.rank = rank
        self.workers = workers

    @property
    def first(self) -> bool:
        """Whether this worker writes what there is to write."""
        return self.rank == 0

    @property
    def seed(self) -> int:
        """What sets a worker's own drawings apart from those of the others; 0 for the first."""
        return self.rank << 40

    def of(self, batch: NDArray[Number]) -> NDArray[Number]:
        """Give this worker's share of a batch or of anything else with an order."""
        return batch[self.rank :: self.workers]

    def total(self, *values: float) -> list[float]:
        """Give sums over all workers."""
        if self.workers == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(sums)
        found: list[float] = sums.tolist()
        return found

    def all(self, mine: NDArray[Number]) -> NDArray[Number]:
        """Give what all workers have, one after another."""
        if self.workers == 1:
            return mine
        found: list[Any] = [None] * self.workers
        distributed.all_gather_object(found, mine)
        return np.concatenate(found)

    def agree(self, value: bool) -> bool:
        """Give what the first worker thinks."""
        return self.total(value if self.first else 0)[0] > 0

    def spread(self, network: nn.Module) -> nn.Module:
        """Give the network as it is to be called: its gradients come out as means over workers.

        Its batch statistics, where they are not frozen, become those of all workers. Raises
        TrainingError where it has a kind of them that cannot be shared.
        """
        if self.workers == 1:
            return network
        share_norms(network)
        return nn.parallel.DistributedDataParallel(network)


ALONE = Share()
