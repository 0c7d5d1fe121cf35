"""The options that every command has: how it speaks on standard error."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from agelens.cli import console

Function = TypeVar("Function", bound=Callable[..., Any])

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q",
        envvar="AGELENS_QUIET", rich_help_panel="Messages",
        help="Print only warnings and errors on standard error, no progress and no notes.",
    ),
]  # fmt: skip
JsonLogs = Annotated[
    bool,
    typer.Option(
        "--json-logs",
        envvar="AGELENS_JSON_LOGS", rich_help_panel="Messages",
        help="Print messages on standard error as JSON, one object per line.",
    ),
]  # fmt: skip


class Commands(typer.Typer):
    """A group of commands, each of which takes --quiet and --json-logs."""

    def command(self, *args: Any, **settings: Any) -> Callable[[Function], Function]:
        """Register a function as a command, which is given back as it was."""
        register = super().command(*args, **settings)

        def add(function: Function) -> Function:
            register(_with_messages(function))
            return function

        return add


def _with_messages(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the function two more options, which it need not know."""

    @functools.wraps(function)
    def speaking(*args: Any, quiet: bool, json_logs: bool, **options: Any) -> Any:
        console.speak(quiet=quiet, json_logs=json_logs)
        return function(*args, **options)

    before = inspect.signature(function)
    after = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("json_logs", JsonLogs))
    ]
    speaking.__signature__ = before.replace(  # type: ignore[attr-defined]
        parameters=[*before.parameters.values(), *after]
    )
    speaking.__annotations__ = {**function.__annotations__, "quiet": Quiet, "json_logs": JsonLogs}
    return speaking
