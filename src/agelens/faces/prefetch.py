"""Prefetching: run a function in background threads, a few items ahead of the consumer."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    name: str = "",
    *,
    ahead: int | None = None,
    size: Callable[[Item], int] = lambda item: 0,
    max_size: int = 0,
) -> Iterator[Result]:
    """Map a function over an iterable in background threads, a few items ahead, in order.

    Up to `ahead` items (default: `threads`) are in progress or wait for the consumer, and fewer
    where their sizes add up to more than `max_size`. Items are taken as they are needed, so the
    iterable may be endless. If the consumer stops, nothing more is started. An exception of the
    function is raised where its result would have come.
    """
    pending: deque[tuple[Future[Result], int]] = deque()
    held = 0
    with ThreadPoolExecutor(threads, name) as pool:
        try:
            for item in items:
                pending.append((pool.submit(function, item), size(item)))
                held += pending[-1][1]
                while len(pending) > (ahead or threads) or held > max_size:
                    future, released = pending.popleft()
                    held -= released
                    yield future.result()
            while pending:
                yield pending.popleft()[0].result()
        finally:
            for future, _ in pending:
                future.cancel()
