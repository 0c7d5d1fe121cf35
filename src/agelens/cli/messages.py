"""The options of every command: --quiet and --json-logs, for its messages on standard error."""

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
        """Register a function as a command, and return it unchanged."""
        register = super().command(*args, **settings)

        def add(function: Function) -> Function:
            register(_with_messages(function))
            return function

        return add


def _with_messages(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the two options to a function, which does not see them."""

    @functools.wraps(function)
    def with_messages(*args: Any, quiet: bool, json_logs: bool, **options: Any) -> Any:
        console.configure(quiet=quiet, json_logs=json_logs)
        return function(*args, **options)

    signature = inspect.signature(function)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("json_logs", JsonLogs))
    ]
    with_messages.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *added]
    )
    with_messages.__annotations__ = {
        **function.__annotations__,
        "quiet": Quiet,
        "json_logs": JsonLogs,
    }
    return with_messages
