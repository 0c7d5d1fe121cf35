"""Where the command line writes: results to standard output, the rest to standard error.

The rest is words for people, or with `--json-logs` one JSON object a line: `time` (UTC), `level`
(progress, info, warning or error), `message`, and for progress `done` and `total`. `--quiet` leaves
warnings and errors. NO_COLOR is honoured.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

out = Console()
err = Console(stderr=True)
quiet = False
json_logs = False


def speak(*, quiet: bool, json_logs: bool) -> None:
    """Set how this process speaks on standard error."""
    globals().update(quiet=quiet, json_logs=json_logs)


def fail(message: str) -> None:
    """Print one error line on standard error."""
    _say("error", message, "[bold red]error:[/] ")


def warn(message: str) -> None:
    """Print one warning line on standard error."""
    _say("warning", message, "[yellow]warning:[/] ")


def note(message: str) -> None:
    """Print one line of progress on standard error, unless it is to be quiet."""
    if not quiet:
        _say("info", message)


def line(level: str, message: str, **more: Any) -> None:
    """Print one JSON line on standard error."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    about = {"time": time, "level": level, "message": message, **more}
    err.file.write(json.dumps(about, ensure_ascii=False) + "\n")  # one call, so lines stay whole
    err.file.flush()


def _say(level: str, message: str, before: str = "") -> None:
    from rich.markup import escape

    if json_logs:
        line(level, message)
    else:
        err.print(f"{before}{escape(message)}", soft_wrap=True, highlight=False)


class LogLines(logging.Handler):
    """Takes the records of `logging`, for a command that goes on for long, as lines."""

    def __init__(self) -> None:
        """Take the message alone: a line says its time and level itself."""
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; information only unless it is to be quiet."""
        if record.levelno >= logging.WARNING or not quiet:
            message = self.format(record)
            if json_logs:
                line(record.levelname.lower(), message, logger=record.name)
            else:
                time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
                err.print(
                    f"{time} {record.levelname} {message}",
                    soft_wrap=True, highlight=False, markup=False,
                )  # fmt: skip
