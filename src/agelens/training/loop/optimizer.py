"""Optimizer, learning rate schedule, L2-SP and the average of weights (EMA)."""

import math
import re

import torch
from torch import Tensor

from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config, OptimizerConfig


def make_optimizer(network: Network, config: OptimizerConfig) -> torch.optim.AdamW:
    """Build AdamW with parameter groups that carry their "factor" of the learning rate.

    A stage of the backbone has `backbone_rate` times the heads' rate, times `layer_decay` for each
    stage between. Biases, scales and offsets have no weight decay (He et al., 2019).
    """
    last = len(network.backbone.stages) - 1
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            factor = 1.0
            if name.startswith("backbone."):
                stage = re.match(r"backbone\.stages\.(\d+)\.", name)
                depth = last - int(stage[1]) if stage else 0
                factor = config.backbone_rate * config.layer_decay**depth
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    decay = {True: config.weight_decay, False: 0.0}
    options = [
        {"params": parameters, "factor": factor, "weight_decay": decay[decayed]}
        for (factor, decayed), parameters in groups.items()
    ]
    return torch.optim.AdamW(options, lr=config.rate)


def learning_rate(config: Config, step: int, steps_per_epoch: int) -> float:
    """Return the heads' learning rate at a step: a linear warm-up, then a cosine to zero."""
    warmup = config.schedule.warmup * steps_per_epoch
    total = config.schedule.epochs * steps_per_epoch
    if step < warmup:
        return config.optimizer.rate * (step + 1) / warmup
    progress = (step - warmup) / max(total - warmup, 1)
    return config.optimizer.rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1)))


def update_ema(average: Network, network: Network, step: int, decay: float) -> None:
    """Move the exponential moving average of weights and batch statistics, in place.

    The decay starts low, so that the first weights are soon forgotten. Counters are copied.
    """
    decay = min(decay, (1 + step) / (10 + step))
    current = network.state_dict()
    with torch.no_grad():
        for name, averaged in average.state_dict().items():
            if averaged.dtype.is_floating_point:
                averaged.lerp_(current[name], 1 - decay)
            else:
                averaged.copy_(current[name])


class L2SP:
    """Pull a backbone to its first weights (L2-SP; Li et al., 2018), decoupled from the loss."""

    def __init__(self, network: Network, config: OptimizerConfig) -> None:
        self._strength = config.pull * config.backbone_rate
        self._weights: list[Tensor] = [p for p in network.backbone.parameters() if p.requires_grad]
        self._start = [p.detach().clone() for p in self._weights] if self._strength else []

    def step(self, rate: float) -> None:
        """Move by `rate` x backbone_rate x pull of the distance, after a step of the optimizer."""
        if self._strength:
            with torch.no_grad():
                share = min(rate * self._strength, 1.0)
                torch._foreach_lerp_(self._weights, self._start, share)
