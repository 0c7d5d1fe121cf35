"""Results on standard output, messages and progress on standard error, and signals.

Messages are text for people, or with `--json-logs` one JSON object per line: `time` (UTC), `level`
(progress, info, warning or error), `message`, and for progress `done` and `total`. `--quiet` leaves
warnings and errors. NO_COLOR is honoured.
"""

import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich import progress as rich_progress
from rich.console import Console
from rich.progress import Progress, TaskID

from agelens import provenance

out = Console()
err = Console(stderr=True)
quiet = False
json_logs = False
SECONDS_PER_LINE = 1.0  # between two JSON lines about the same stage

VALIDATION = {  # heading -> key and format of a figure
    "MAE": ("validation_mae", ".3f"),
    "CS@5": ("validation_cs5", ".1%"),
    "gender": ("validation_gender_accuracy", ".1%"),
}


def configure(*, quiet: bool, json_logs: bool) -> None:
    """Set which messages this process prints, and in which form."""
    globals().update(quiet=quiet, json_logs=json_logs)


def _print(level: str, prefix: str, message: str) -> None:
    from rich.markup import escape

    if quiet and level == "info":
        return
    if json_logs:
        line(level, message)
    else:
        err.print(f"{prefix}{escape(message)}", soft_wrap=True, highlight=False)


# Each prints one line on standard error; a note is left out with --quiet.
fail = partial(_print, "error", "[bold red]error:[/] ")
warn = partial(_print, "warning", "[yellow]warning:[/] ")
note = partial(_print, "info", "")


def result(text: object) -> None:
    """Print one line of a command's result, such as a path, as it is."""
    out.print(str(text), soft_wrap=True, highlight=False, markup=False)


def report(findings: Iterable[Any], *files: Path | None) -> None:
    """Print findings of a page, "!" before what to look into, then the files written."""
    for one in findings:
        out.print(f"{'!' if one.strange else '-'} {one.text}", highlight=False, markup=False)
    for file in filter(None, files):
        result(file)


def command_line() -> str:
    """Return the command that runs, as records of results have it."""
    return provenance.command(["agelens", *sys.argv[1:]])


def table(
    labels: Sequence[str], rows: Iterable[Sequence[Any] | None],
    columns: Mapping[str, tuple[str, str]] = {}, **style: Any,
) -> None:  # fmt: skip
    """Print a table of labels and, with `columns`, of figures; a row of None is a line.

    `columns` gives the key and the format of each figure by its heading. Each row then ends in a
    mapping of its figures; where one is missing, the cell is empty.
    """
    from rich.table import Table

    printed = Table(*labels, **style)
    for heading in columns:
        printed.add_column(heading, justify="right")
    for row in rows:
        if row is None:
            printed.add_section()
            continue
        texts, figures = (row[:-1], row[-1]) if columns else (row, {})
        cells = [format(figures[key], form) if figures.get(key) is not None else ""
                 for key, form in columns.values()]  # fmt: skip
        printed.add_row(*texts, *cells)
    out.print(printed)


def line(level: str, message: str, **more: Any) -> None:
    """Print one JSON line on standard error."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    fields = {"time": now, "level": level, "message": message, **more}
    err.file.write(json.dumps(fields, ensure_ascii=False) + "\n")  # one call, so lines stay whole
    err.file.flush()


@contextmanager
def on_signals(handler: Callable[[int, Any], None]) -> Iterator[dict[int, Any]]:
    """Handle Ctrl-C and SIGTERM by a function; give the handlers that return afterwards."""
    before = {int(one): signal.signal(one, handler) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield before
    finally:
        for number, handle in before.items():
            signal.signal(number, handle)


class LogLines(logging.Handler):
    """A logging handler that prints records as lines, for a long-running command."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; information only unless --quiet is set."""
        message = self.format(record)
        if quiet and record.levelno < logging.WARNING:
            return
        if json_logs:
            line(record.levelname.lower(), message, logger=record.name)
        else:
            created = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
            text = f"{created} {record.levelname} {message}"
            err.print(text, soft_wrap=True, highlight=False, markup=False)


def bar() -> Progress:
    """Return a progress bar: a description, how many of how many, and the time left."""
    kind = _JsonLines if json_logs and not quiet else Progress
    return kind(
        rich_progress.TextColumn("{task.description}"), rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(), rich_progress.TimeRemainingColumn(),
        console=err, transient=True, disable=not err.is_terminal or quiet or json_logs,
    )  # fmt: skip


@contextmanager
def stages(words: Mapping[str, str] = {}) -> Iterator[Callable[[str, int, int | None], None]]:
    """Give a function that shows the current stage: a key of `words` or text, done, total or 0."""
    with bar() as progress:
        task = progress.add_task("", total=None)

        def report(stage: str, done: int, total: int | None) -> None:
            progress.update(
                task, description=words.get(stage, stage), completed=done, total=total or None
            )

        yield report


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
        line("progress", task.description, done=round(task.completed), total=total)
