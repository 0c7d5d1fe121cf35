"""Work on some items ahead of the one that is asked for, on threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Taken = TypeVar("Taken")
Given = TypeVar("Given")


def ahead(
    work: Callable[[Taken], Given], items: Iterable[Taken], threads: int, name: str = ""
) -> Iterator[Given]:
    """Give `work` of each item, in order, with up to `threads` of them under way.

    Items are taken as they are needed, so they may be endless. What has not begun when the caller
    stops is not begun; an error of `work` comes where its result would have.
    """
    waiting: deque[Future[Given]] = deque()
    with ThreadPoolExecutor(threads, name) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
