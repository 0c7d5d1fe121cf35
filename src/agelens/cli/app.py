"""The `agelens` command: its subcommands in groups, and errors as one line."""

import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agelens.cli import (
    audit_model,
    backbones,
    batch,
    benchmark,
    card,
    combine,
    console,
    data,
    doctor,
    evaluate,
    export,
    models,
    predict,
    quantize,
    recipes,
    report,
    serve,
    soup,
    train,
    tune,
    watch,
)
from agelens.cli.messages import Commands
from agelens.errors import AgelensError

INTERRUPTED = 130  # the exit code that shells use for Ctrl-C: 128 + SIGINT

GROUPS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Use a model": {"predict": predict.predict, "batch": batch.batch, "watch": watch.watch},
    "Serve a model": {"serve": serve.serve},
    "Prepare data": {"data": data.app},
    "Make a model": {
        "train": train.train,
        "recipes": recipes.app,
        "tune": tune.tune,
        "benchmark": benchmark.benchmark,
        "soup": soup.soup,
        "combine": combine.combine,
        "export": export.export,
        "quantize": quantize.quantize,
        "backbones": backbones.app,
    },
    "Measure a model": {
        "evaluate": evaluate.evaluate,
        "report": report.report,
        "card": card.card,
        "audit-model": audit_model.audit_model,
    },
    "Look after the installation": {"models": models.models, "doctor": doctor.doctor},
}
"""The commands by name, in the groups and the order in which `agelens --help` lists them."""


class _InOrder(TyperGroup):
    """Lists commands in the order of GROUPS; typer lists those with subcommands last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for commands in GROUPS.values() for name in commands]


app = Commands(
    name="agelens",
    cls=_InOrder,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for group, commands in GROUPS.items():
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=group)
        else:
            app.command(name, rich_help_panel=group)(command)


def _version(wanted: bool) -> None:
    if wanted:
        from agelens import __version__

        console.out.print(f"agelens {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
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
