"""`agelens recipes`: the recipes that ship with the package."""

from typing import Annotated

import typer

from agelens.cli import console, options

app = options.Commands()


@app.callback(invoke_without_command=True)
def recipes(context: typer.Context) -> None:
    """List the shipped recipes; `show` prints one.

    Minutes are those of the recorded runs, with all stages; figures are of the validation folds of
    UTKFace.

    [bold]Examples[/]

      agelens recipes
      agelens recipes show finetune > mine.toml
    """
    if context.invoked_subcommand is not None:
        return
    options.need_train()
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape

    from agelens.training.recipes import library
    from agelens.training.recipes.config import Config

    recorded, rows = library.recorded(), []
    for name in library.names():
        config = Config.read(name)
        parts = config.model.members or [config.model]
        pretrained = [] if config.combine else [
            one.backbone for one in parts if one.backbone != "scratch" and not one.weights
        ]  # fmt: skip
        start = ", ".join(library.references(config.table()) + pretrained) or "random weights"
        about = f"[bold]{name}[/]\n{escape(library.summary(name))}\nStarts from {start}."
        rows.append(([about], recorded["recipes"].get(name, {})))
    columns = {"minutes": ("minutes", ".0f"), "MAE": ("mae", ".2f"), "gender": ("gender", ".1%")}
    console.table(["recipe"], columns, rows, box=SIMPLE_HEAD)
    console.note(f"minutes on {recorded['machine']}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A recipe's name or TOML file.")]) -> None:
    """Print a recipe as TOML, with all that it extends, all its stages and all defaults.

    [bold]Example[/]

      agelens recipes show finetune > mine.toml
    """
    options.need_train()
    options.need("train", "tomli_w")
    import tomli_w

    from agelens.cli.train import read

    table = read(name).table()
    del table["name"]  # a recipe has the name of its file
    typer.echo(tomli_w.dumps(table).rstrip())
