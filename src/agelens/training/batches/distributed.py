"""Data-parallel training: the part of one worker of torch.distributed.

Each worker takes its part of the batches of a run on one worker. Losses and gradients are
weighted by the number of faces of a worker, and batch statistics are those of all workers. So the
number of workers changes only the speed, the random numbers of dropout, mixup and stochastic
depth, and which faces `loss.trim` leaves out, which each worker chooses among its own.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from agelens.errors import TrainingError

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Worker:
    """Worker `rank` of `world_size`, of torch's default process group if there are several."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this worker writes the files of the run."""
        return self.rank == 0

    def shard(self, batch: NDArray[Number]) -> NDArray[Number]:
        """Return this worker's part of a batch, or of any other array."""
        return batch[self.rank :: self.world_size]

    def all_reduce_sum(self, *values: float) -> list[float]:
        """Sum each value over all workers."""
        if self.world_size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(sums)
        return list(sums.tolist())

    def all_gather(self, values: NDArray[Number]) -> NDArray[Number]:
        """Concatenate the arrays of all workers, in the order of their ranks."""
        if self.world_size == 1:
            return values
        parts: list[Any] = [None] * self.world_size
        distributed.all_gather_object(parts, values)
        return np.concatenate(parts)

    def broadcast(self, value: bool) -> bool:
        """Return the value of the main worker."""
        return self.all_reduce_sum(value if self.is_main else 0)[0] > 0

    def parallelise(self, network: nn.Module) -> nn.Module:
        """Wrap a network: gradients become means over the workers, batch statistics those of all.

        Raises TrainingError for a kind of batch normalisation that cannot be synchronised.
        """
        if self.world_size == 1:
            return network
        network.train()
        for module in network.modules():
            if not isinstance(module, nn.modules.batchnorm._BatchNorm) or not module.training:
                continue
            if type(module) is not nn.BatchNorm2d or not module.affine or module.momentum is None:
                raise TrainingError(
                    f"this backbone has {type(module).__name__}, whose statistics several workers "
                    "cannot share: train it with one worker, or freeze it with model.frozen"
                )
            module.__class__ = SyncBatchNorm  # it keeps its parameters and running statistics
        return nn.parallel.DistributedDataParallel(network)


SINGLE_WORKER = Worker()


class _AllReduce(torch.autograd.Function):
    """Sum a tensor over all workers, and its gradient too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _AllReduce.forward(ctx, *gradients)


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over all workers, also on a CPU, which torch's SyncBatchNorm refuses."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        if not self.training:
            return super().forward(x)
        var, mean = (t.double() for t in torch.var_mean(x.float(), (0, 2, 3), correction=0))
        sums = torch.cat([mean, var + mean**2, mean.new_ones(1)]) * (x.numel() // x.shape[1])
        total: Tensor = _AllReduce.apply(sums)  # type: ignore[no-untyped-call]
        count = total[-1].detach()
        mean, square = (total[:-1] / count).chunk(2)
        var = (square - mean**2).clamp(min=0)
        scale = self.weight * (var + self.eps).rsqrt().float()
        offset = self.bias - mean.float() * scale
        with torch.no_grad():
            unbiased = (var * count / (count - 1).clamp(min=1)).float()
            self.running_mean.lerp_(mean.float(), self.momentum)  # type: ignore[union-attr,arg-type]
            self.running_var.lerp_(unbiased, self.momentum)  # type: ignore[union-attr,arg-type]
            self.num_batches_tracked += 1  # type: ignore[operator,assignment]
        y = torch.addcmul(offset[:, None, None], x.float(), scale[:, None, None])
        return y.to(x.dtype)
