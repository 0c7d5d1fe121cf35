"""Measure what a model costs: the size of its file, and the time it takes for a face."""

import os
import statistics
import time
from typing import Any

import numpy as np

from agelens import provenance
from agelens.inference.runtime import CHIP, Model

ROUNDS = 5
FACES = 16  # timed in each round, at each batch size
BATCH_SIZES = (1, 16)


def measure(model: Model, threads: int = 1) -> dict[str, Any]:
    """Time a model on chips of noise: milliseconds for a face, the median of ROUNDS rounds.

    `threads` is what the model was loaded with, for the record.
    """
    busy = _busy()
    chips = np.random.default_rng(0).integers(0, 256, (FACES, CHIP, CHIP, 3), np.uint8)
    times: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    for _ in range(ROUNDS + 1):  # the first round warms up
        for size, taken in times.items():
            began = time.perf_counter()
            for start in range(0, FACES, size):
                model.run(chips[start : start + size])
            taken.append(1000 * (time.perf_counter() - began) / FACES)
    return {
        "megabytes": model.path.stat().st_size / 1e6,
        "milliseconds": {str(size): statistics.median(taken[1:]) for size, taken in times.items()},
        "rounds": ROUNDS,
        "busy": busy,  # with other work, so that the times are too long
        "machine": provenance.machine(threads),
    }


def _busy() -> bool:
    """Return whether half of the cores or more had work over the last minute."""
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    except (AttributeError, OSError):  # not available on this system
        return False
