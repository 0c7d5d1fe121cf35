"""The `agelens` command: its subcommands in groups, and errors as one line."""

import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agelens.cli import console, options
from agelens.errors import AgelensError

INTERRUPTED = 130  # the exit code that shells use for Ctrl-C: 128 + SIGINT

GROUPS: dict[str, dict[str, str]] = {
    "Use a model": {"predict": "predict", "batch": "batch", "watch": "watch"},
    "Serve a model": {"serve": "serve"},
    "Prepare data": {"data": "data"},
    "Make a model": {
        "train": "train", "recipes": "library", "tune": "train", "benchmark": "train",
        "soup": "runs", "combine": "runs", "export": "runs", "quantize": "runs",
        "backbones": "library", "adapt": "measure",
    },
    "Measure a model": dict.fromkeys(("evaluate", "report", "card", "audit-model"), "measure"),
    "Look after the installation": {"models": "installation", "doctor": "installation"},
}  # fmt: skip
"""The commands as `agelens --help` lists them, each with the file in this package that holds a
function of that name, or a `Commands` with subcommands."""


class _InOrder(TyperGroup):
    """Lists commands in the order of GROUPS; typer lists those with subcommands last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for names in GROUPS.values() for name in names]


app = options.Commands(
    name="agelens", cls=_InOrder, no_args_is_help=True, pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)  # fmt: skip


def add_commands(to: typer.Typer, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Add the commands of each group, found by name in their files."""
    for group, files in groups.items():
        for name, file in files.items():
            command = getattr(import_module(f"agelens.cli.{file}"), name.replace("-", "_"))
            if isinstance(command, typer.Typer):
                to.add_typer(command, name=name, rich_help_panel=group)
            else:
                to.command(name, rich_help_panel=group)(command)


add_commands(app, GROUPS)


def _version(wanted: bool) -> None:
    if wanted:
        from agelens import __version__

        console.out.print(f"agelens {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Predict the age and gender of every person in a picture, and train models that do.

    Exit codes: 0 success, 1 something failed, 2 wrong usage or a missing input or package,
    130 stopped with Ctrl-C.

    [bold]Examples[/]

      agelens predict photo.jpg
      agelens serve --port 8000
      agelens doctor
    """


def main() -> None:
    """Run the command line; print a user's mistake as one line on standard error."""
    # SystemExit and not KeyboardInterrupt, which typer would turn into a bare "Aborted"
    signal.signal(signal.SIGINT, lambda *_: sys.exit(INTERRUPTED))
    try:
        app()
    except AgelensError as error:
        console.fail(str(error))
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            console.fail("stopped; run the same command again to continue")
        raise
