"""bfloat16 or float32: measured on this machine, not assumed."""

import time

import torch

from agelens.training.loop import device as devices
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config


def choose(config: Config, network: Network) -> bool:
    """Say whether to train under bfloat16 autocast; "auto" times a step of each.

    On a GPU it is not timed: what can do bfloat16 does it.
    """
    if config.run.precision != "auto":
        return config.run.precision == "bfloat16"
    if devices.choose(config).type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return step_seconds(network, bfloat16=True) < 0.95 * step_seconds(network, bfloat16=False)


def step_seconds(network: Network, *, bfloat16: bool, batch: int = 8) -> float:
    """Time a forward and backward pass; the better of two after one to warm up."""
    side = network.size
    chips = torch.zeros(batch, side, side, 3, dtype=torch.uint8)
    was_training = network.training
    network.eval()  # batch statistics stay as they are
    best = float("inf")
    for run in range(3):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            age, female = network(chips)
        (age.float().sum() + female.float().sum()).backward()
        if run:
            best = min(best, time.perf_counter() - began)
    network.zero_grad(set_to_none=True)
    network.train(was_training)
    return best
