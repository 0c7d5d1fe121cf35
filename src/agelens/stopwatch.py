"""Measure how long the stages of a prediction, or repeated calls, take."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class Stopwatch(dict[str, float]):
    """Seconds spent in each stage so far; with several threads their sum."""

    def __init__(self, stages: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(stages, 0.0))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes, even if it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self[stage] += time.perf_counter() - start


def median_milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of some calls in milliseconds, after one call that warms up."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken[1:])
