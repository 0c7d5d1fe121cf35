"""The one look of progress bars: on standard error, gone when done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agelens.cli import console


def bar() -> Progress:
    """Make a progress bar: what, how many of how many, time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console.err,
        transient=True,
        disable=not console.err.is_terminal,
    )


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows what is going on: words, done, of how many (0: not known)."""
    with bar() as progress:
        task = progress.add_task("", total=None)

        def tell(words: str, done: int, total: int) -> None:
            progress.update(task, description=words, completed=done, total=total or None)

        yield tell
