"""Where the command line writes: results to standard output, the rest to standard error."""

from rich.console import Console

out = Console()
err = Console(stderr=True)


def fail(message: str) -> None:
    """Print one error line on standard error."""
    err.print(f"[bold red]error:[/] {_plain(message)}", soft_wrap=True, highlight=False)


def warn(message: str) -> None:
    """Print one warning line on standard error."""
    err.print(f"[yellow]warning:[/] {_plain(message)}", soft_wrap=True, highlight=False)


def note(message: str) -> None:
    """Print one line of progress on standard error."""
    err.print(_plain(message), soft_wrap=True, highlight=False)


def _plain(message: str) -> str:
    from rich.markup import escape

    return escape(message)
