"""The one look of progress: a bar on standard error, gone when done; or JSON lines; or nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from agelens.cli import console

EVERY = 1.0
"""Seconds between two JSON lines about the same piece of work."""


def bar() -> Progress:
    """Make a progress bar: what, how many of how many, time left."""
    kind = _Lines if console.json_logs and not console.quiet else Progress
    return kind(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console.err,
        transient=True,
        disable=not console.err.is_terminal or console.quiet or console.json_logs,
    )


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows what is going on: words, done, of how many (0: not known)."""
    with bar() as progress:
        task = progress.add_task("", total=None)

        def tell(words: str, done: int, total: int) -> None:
            progress.update(task, description=words, completed=done, total=total or None)

        yield tell


@contextmanager
def working(words: str) -> Iterator[None]:
    """Show that something goes on whose length is not known."""
    with stages() as tell:
        tell(words, 0, 0)
        yield


class _Lines(Progress):
    """Tells of progress in JSON lines: a new stage, the end of one, and between them each second.

    It is `disable`d, so that no bar is drawn.
    """

    def __init__(self, *columns: Any, **settings: Any) -> None:
        super().__init__(*columns, **settings)
        self._told: dict[TaskID, tuple[str, bool, float]] = {}  # description, finished, when

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        task = self._tasks.get(task_id)
        if task is None or not task.description:
            return
        now = time.monotonic()
        words, finished, when = self._told.get(task_id, ("", False, -EVERY))
        if words == task.description and finished == task.finished and now - when < EVERY:
            return
        self._told[task_id] = (task.description, task.finished, now)
        total = None if task.total is None else round(task.total)
        console.line("progress", task.description, done=round(task.completed), total=total)
