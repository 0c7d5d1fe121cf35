"""How long the stages of a prediction take."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Stopwatch(dict[str, float]):
    """Seconds spent in each stage so far; exact with one thread, near enough with several."""

    def __init__(self, stages: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(stages, 0.0))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what the block takes, also where it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self[stage] += time.perf_counter() - start
