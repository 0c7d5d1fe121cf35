"""Where a network is trained: on the processor, or on a GPU where torch sees one."""

import torch

from agelens.errors import TrainingError
from agelens.training.recipes.config import Config


def choose(config: Config) -> torch.device:
    """Give the device that the recipe asks for; "auto" takes a GPU where there is one.

    Raises TrainingError for a GPU that is not there.
    """
    wanted, there = config.run.device, torch.cuda.is_available()
    if wanted == "cpu" or (wanted == "auto" and not there):
        return torch.device("cpu")
    if not there:
        raise TrainingError(
            f"run.device = {wanted!r}: torch {torch.__version__} sees no GPU here; expected "
            "'auto' or 'cpu', or a build of torch for this machine's GPU and its driver"
        )
    return torch.device("cuda", torch.cuda.current_device())
