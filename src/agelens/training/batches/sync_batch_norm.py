"""Batch normalisation over the shares of all workers, as if they were one batch.

torch's own SyncBatchNorm wants a GPU. Forward and backward each add up, over all workers, two
numbers for each channel.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from agelens.errors import TrainingError


class _Normalise(torch.autograd.Function):
    """(B, C, H, W) -> the same, with the mean and variance of all workers' B."""

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
        var = square - mean**2
        whole_mean, whole_var = mean.float(), var.clamp(min=0).float()
        ctx.save_for_backward(x, weight, whole_mean, (whole_var + eps).rsqrt())
        ctx.count = count
        y = functional.batch_norm(x, whole_mean, whole_var, weight, bias, False, 0.0, eps)
        unbiased = whole_var * (count / max(count - 1, 1))
        ctx.mark_non_differentiable(whole_mean, unbiased)
        return y, whole_mean, unbiased

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *others: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale = ctx.saved_tensors

        def wide(values: Tensor) -> Tensor:
            return values[:, None, None]

        normal = (x.float() - wide(mean)) * wide(scale)
        slope = dy.float()
        mine = torch.cat([slope.sum((0, 2, 3)), (slope * normal).sum((0, 2, 3))])
        whole = mine.clone()
        distributed.all_reduce(whole)
        offset, along = (whole / ctx.count).chunk(2)
        dx = (slope - wide(offset) - normal * wide(along)) * wide(weight * scale)
        bias, gain = mine.chunk(2)
        return dx.to(x.dtype), gain, bias, None


class SharedNorm(nn.BatchNorm2d):
    """Takes the place of a BatchNorm2d, and its parameters and running statistics."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked

    def forward(self, x: Tensor) -> Tensor:
        """Take and give (B, C, H, W)."""
        if not self.training:
            return super().forward(x)
        y, mean, var = _Normalise.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr,arg-type]
            self.running_var.lerp_(var, self.momentum)  # type: ignore[union-attr,arg-type]
            self.num_batches_tracked += 1  # type: ignore[operator,assignment]
        return y  # type: ignore[no-any-return]


def share_norms(network: nn.Module) -> None:
    """Put a SharedNorm in the place of each batch normalisation that is trained."""
    network.train()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if not isinstance(child, nn.modules.batchnorm._BatchNorm) or not child.training:
                continue
            if type(child) is not nn.BatchNorm2d or not child.affine or child.momentum is None:
                raise TrainingError(
                    f"this backbone has {type(child).__name__}, whose statistics cannot be shared "
                    "by several workers: train it with one, or freeze it with model.frozen"
                )
            setattr(parent, name, SharedNorm(child))
