"""What a model costs: its size, and the time it takes for a face."""

import os
import statistics
import time
from typing import Any

import numpy as np

from agelens import provenance
from agelens.inference.runtime import CHIP, Model

ROUNDS = 5
FACES = 16  # timed in each round, at each batch size
BATCHES = (1, 16)


def measure(model: Model, threads: int = 1) -> dict[str, Any]:
    """Time a model on chips of noise: the median of some rounds, milliseconds for a face.

    `threads` is what the model was loaded with, for the record.
    """
    busy = _busy()
    chips = np.random.default_rng(0).integers(0, 256, (FACES, CHIP, CHIP, 3), np.uint8)
    times: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for _ in range(ROUNDS + 1):  # the first round warms up
        for batch, taken in times.items():
            began = time.perf_counter()
            for start in range(0, FACES, batch):
                model.run(chips[start : start + batch])
            taken.append(1000 * (time.perf_counter() - began) / FACES)
    return {
        "megabytes": model.path.stat().st_size / 1e6,
        "milliseconds": {
            str(batch): statistics.median(taken[1:]) for batch, taken in times.items()
        },
        "rounds": ROUNDS,
        "busy": busy,  # with other work, so that the times are too long
        "machine": provenance.machine(threads),
    }


def _busy() -> bool:
    """Tell whether over the last minute half of the cores or more had work."""
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    except (AttributeError, OSError):  # a system that does not tell
        return False
