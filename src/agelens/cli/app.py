"""The `agelens` command: gathers the commands and turns errors into one line."""

import signal
import sys
from typing import Annotated

import typer

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
    report,
    serve,
    soup,
    train,
    tune,
    watch,
)
from agelens.cli.messages import Commands
from agelens.errors import AgelensError

STOPPED = 130  # what a shell gives for Ctrl-C: 128 + SIGINT

app = Commands(
    name="agelens",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(predict.predict)
app.command()(batch.batch)
app.command()(watch.watch)
app.command()(serve.serve)
app.command()(models.models)
app.command()(doctor.doctor)
app.add_typer(data.app, name="data")
app.command()(train.train)
app.command()(tune.tune)
app.command()(benchmark.benchmark)
app.command()(soup.soup)
app.command()(combine.combine)
app.command()(export.export)
app.command()(quantize.quantize)
app.command()(evaluate.evaluate)
app.command()(report.report)
app.command()(card.card)
app.command()(audit_model.audit_model)
app.add_typer(backbones.app, name="backbones")


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
    """Predict the age and gender of every person in a picture, and make the models that do.

    A command ends with 0 when all went well, 1 when something failed, 2 when it was called
    wrongly or lacks an input or a package, 130 when it was stopped by Ctrl-C.

    [bold]Examples[/]

      agelens predict photo.jpg
      agelens serve --port 8000
      agelens doctor
    """


def main() -> None:
    """Run the command line; a user's mistake ends in one line on standard error."""
    # SystemExit and not KeyboardInterrupt, which typer would turn into a bare "Aborted"
    signal.signal(signal.SIGINT, lambda *_: sys.exit(STOPPED))
    try:
        app()
    except AgelensError as error:
        console.fail(str(error))
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == STOPPED:
            console.fail("stopped; run the same command again to go on")
        raise
