"""Data-parallel training: the part of one worker, by the words of torch.distributed.

The batches are those of a run on one worker; each worker takes its part of each. What is a mean
over a batch there is one here too: losses and gradients are weighted by the number of faces of a
worker, and batch statistics are those of all workers. So the number of workers changes only the
speed, the random numbers of dropout, mixup and stochastic depth, and which faces `loss.trim`
leaves out, which each worker chooses among its own.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn import functional

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

    @property
    def seed_offset(self) -> int:
        """Added to the seed of a worker's own random numbers; 0 for the main worker."""
        return self.rank << 40

    def shard(self, batch: NDArray[Number]) -> NDArray[Number]:
        """Return this worker's part of a batch, or of any other array."""
        return batch[self.rank :: self.world_size]

    def all_reduce_sum(self, *values: float) -> list[float]:
        """Sum each value over all workers."""
        if self.world_size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(sums)
        result: list[float] = sums.tolist()
        return result

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
        """Wrap a network so that its gradients become means over the workers.

        Batch statistics that are not frozen become those of all workers. Raises TrainingError
        for a kind of batch normalisation that cannot be synchronised.
        """
        if self.world_size == 1:
            return network
        synchronise_batch_norm(network)
        return nn.parallel.DistributedDataParallel(network)


SINGLE_WORKER = Worker()


class _SyncNormalise(torch.autograd.Function):
    """Normalise (B, C, H, W) by the mean and variance over the faces of all workers.

    Forward and backward each sum two numbers per channel over all workers.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        var, mean = (t.double() for t in torch.var_mean(x.float(), (0, 2, 3), correction=0))
        count = x.numel() // x.shape[1]
        sums = torch.cat([mean, var + mean**2, mean.new_ones(1)]) * count
        distributed.all_reduce(sums)
        count = round(float(sums[-1]))
        mean, square = (sums[:-1] / count).chunk(2)
        var = (square - mean**2).float().clamp(min=0)
        mean = mean.float()
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt())
        ctx.count = count
        y = functional.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)
        unbiased = var * (count / max(count - 1, 1))
        ctx.mark_non_differentiable(mean, unbiased)
        return y, mean, unbiased

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale = ctx.saved_tensors

        def per_channel(values: Tensor) -> Tensor:
            return values[:, None, None]

        normalised = (x.float() - per_channel(mean)) * per_channel(scale)
        grad = grad_y.float()
        own = torch.cat([grad.sum((0, 2, 3)), (grad * normalised).sum((0, 2, 3))])
        total = own.clone()
        distributed.all_reduce(total)
        grad_mean, projection = (total / ctx.count).chunk(2)
        grad_x = grad - per_channel(grad_mean) - normalised * per_channel(projection)
        grad_bias, grad_weight = own.chunk(2)
        return (grad_x * per_channel(weight * scale)).to(x.dtype), grad_weight, grad_bias, None


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over all workers, also on a CPU, which torch's SyncBatchNorm refuses."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        """Take over the parameters and running statistics of a BatchNorm2d."""
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        if not self.training:
            return super().forward(x)
        y, mean, var = _SyncNormalise.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr,arg-type]
            self.running_var.lerp_(var, self.momentum)  # type: ignore[union-attr,arg-type]
            self.num_batches_tracked += 1  # type: ignore[operator,assignment]
        return y  # type: ignore[no-any-return]


def synchronise_batch_norm(network: nn.Module) -> None:
    """Replace each batch normalisation that is trained by a SyncBatchNorm, in place.

    Raises TrainingError for a kind of batch normalisation that cannot be synchronised.
    """
    network.train()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if not isinstance(child, nn.modules.batchnorm._BatchNorm) or not child.training:
                continue
            if type(child) is not nn.BatchNorm2d or not child.affine or child.momentum is None:
                raise TrainingError(
                    f"this backbone has {type(child).__name__}, whose statistics several workers "
                    "cannot share: train it with one worker, or freeze it with model.frozen"
                )
            setattr(parent, name, SyncBatchNorm(child))
