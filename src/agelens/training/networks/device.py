"""How training uses the machine: device, numeric precision, memory of the C library."""

import ctypes
import timeit
from collections.abc import Callable

import torch

from agelens.errors import TrainingError
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config


def keep_freed_memory() -> bool:
    """Make the C library reuse freed memory; return whether it could be set (glibc only).

    By default glibc returns large blocks, such as a step's activations, to the system at once,
    which then hands out zeroed pages anew.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return False
    # glibc's M_MMAP_MAX: no mapping per block; M_TRIM_THRESHOLD: nothing returned from the top of
    # the heap; M_TOP_PAD
    accepted = [mallopt(key, value) for key, value in ((-4, 0), (-1, 2**31 - 1), (-2, 64 << 20))]
    return accepted == [1, 1, 1]


def select_device(config: Config) -> torch.device:
    """Return the device of a recipe. Raises TrainingError for a GPU that is not there."""
    if config.run.device != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if config.run.device == "cuda":
        raise TrainingError(
            f"run.device = 'cuda': torch {torch.__version__} sees no GPU here; expected 'auto' or "
            "'cpu', or a build of torch for this machine's GPU and its driver"
        )
    return torch.device("cpu")


def use_bfloat16(config: Config, network: Network) -> bool:
    """Decide whether to train under bfloat16 autocast; "auto" times it on a CPU."""
    if config.run.precision != "auto":
        return config.run.precision == "bfloat16"
    if select_device(config).type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return step_seconds(network, bfloat16=True) < 0.95 * step_seconds(network, bfloat16=False)


def step_seconds(network: Network, *, bfloat16: bool, batch: int = 8) -> float:
    """Time one forward and backward pass in seconds, without changing the network."""
    chips = torch.zeros(batch, network.size, network.size, 3, dtype=torch.uint8)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            age, female = network(chips)
        (age.float().sum() + female.float().sum()).backward()

    was_training = network.training
    network.eval()  # batch statistics stay as they are
    seconds = best_seconds(step)
    network.zero_grad(set_to_none=True)
    network.train(was_training)
    return seconds


def best_seconds(call: Callable[[], object]) -> float:
    """Time a call in seconds: the better of two runs after one to warm up."""
    return min(timeit.repeat(call, number=1, repeat=3)[1:])
