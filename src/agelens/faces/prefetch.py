"""Prefetching: run a function in background threads, a few items ahead of the consumer."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, name: str = ""
) -> Iterator[Result]:
    """Map a function over an iterable in background threads, a few items ahead, in order.

    Up to `threads` items are in progress at once. Items are taken as they are needed, so the
    iterable may be endless. If the consumer stops, nothing more is started. An exception of the
    function is raised where its result would have come.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, name) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
