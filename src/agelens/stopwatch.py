"""Measure how long the stages of a prediction, or repeated calls, take."""

import statistics
import time
import timeit
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
    seconds = timeit.repeat(call, number=1, repeat=repeats + 1)
    return 1000 * statistics.median(seconds[1:])
