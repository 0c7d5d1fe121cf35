"""Progress of long work: a bar on standard error, JSON lines with --json-logs, or nothing."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich import progress as rich_progress
from rich.progress import Progress, TaskID

from agelens.cli import console

SECONDS_PER_LINE = 1.0  # between two JSON lines about the same stage


def bar() -> Progress:
    """Return a progress bar: a description, how many of how many, and the time left."""
    kind = _JsonLines if console.json_logs and not console.quiet else Progress
    return kind(
        rich_progress.TextColumn("{task.description}"), rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(), rich_progress.TimeRemainingColumn(),
        console=console.err, transient=True,
        disable=not console.err.is_terminal or console.quiet or console.json_logs,
    )  # fmt: skip


@contextmanager
def stages(words: Mapping[str, str] = {}) -> Iterator[Callable[[str, int, int | None], None]]:
    """Give a function that shows the current stage: a description, done, total (0: unknown).

    `words` describes stages that are given by name.
    """
    with bar() as progress:
        task = progress.add_task("", total=None)

        def report(stage: str, done: int, total: int | None) -> None:
            description = words.get(stage, stage)
            progress.update(task, description=description, completed=done, total=total or None)

        yield report


@contextmanager
def working(description: str) -> Iterator[None]:
    """Show that something of unknown length is in progress."""
    with stages() as report:
        report(description, 0, 0)
        yield


class _JsonLines(Progress):
    """Prints JSON lines, at the start and the end of a stage and every second; draws no bar."""

    def __init__(self, *columns: Any, **settings: Any) -> None:
        super().__init__(*columns, **settings)
        self._printed: dict[TaskID, tuple[str, bool, float]] = {}  # description, finished, when

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._print(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._print(task_id)

    def _print(self, task_id: TaskID) -> None:
        task = self._tasks.get(task_id)
        if task is None or not task.description:
            return
        now = time.monotonic()
        description, finished, when = self._printed.get(task_id, ("", False, now))
        same = (description, finished) == (task.description, task.finished)
        if same and now - when < SECONDS_PER_LINE:
            return
        self._printed[task_id] = (task.description, task.finished, now)
        total = None if task.total is None else round(task.total)
        console.line("progress", task.description, done=round(task.completed), total=total)
