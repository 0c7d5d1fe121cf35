"""The `agelens` command: its subcommands in groups, and errors as one line."""

import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agelens.cli import console, options
from agelens.errors import AgelensError

INTERRUPTED = 130  # the exit code that shells use for Ctrl-C: 128 + SIGINT

GROUPS = {
    "Use a model": ("predict", "batch", "watch"),
    "Serve a model": ("serve",),
    "Prepare data": ("data",),
    "Make a model": (
        "train", "recipes", "tune", "benchmark", "soup", "combine", "export", "quantize",
        "backbones",
    ),
    "Measure a model": ("evaluate", "report", "card", "audit-model"),
    "Look after the installation": ("models", "doctor"),
}  # fmt: skip
"""The commands as `agelens --help` lists them: each is a file of this package.

The file holds a function of the command's name, or an `app` with subcommands.
"""


class _InOrder(TyperGroup):
    """Lists commands in the order of GROUPS; typer lists those with subcommands last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for names in GROUPS.values() for name in names]


app = options.Commands(
    name="agelens", cls=_InOrder, no_args_is_help=True, pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)  # fmt: skip


def add_commands(to: typer.Typer, groups: Mapping[str, Sequence[str]]) -> None:
    """Add the commands of each group, found by name in this package."""
    for group, names in groups.items():
        for name in names:
            word = name.replace("-", "_")
            module = import_module(f"agelens.cli.{word}")
            if hasattr(module, "app"):
                to.add_typer(module.app, name=name, rich_help_panel=group)
            else:
                to.command(name, rich_help_panel=group)(getattr(module, word))


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
