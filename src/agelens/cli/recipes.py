"""`agelens recipes`: the recipes that ship with the package."""

from typing import Annotated, Any

import typer

from agelens.cli import console
from agelens.cli.extras import need, need_train
from agelens.cli.messages import Commands

app = Commands()


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
    need_train()
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from agelens.training.recipes import library
    from agelens.training.recipes.config import Config

    recorded = library.recorded()
    table = Table("recipe", box=SIMPLE_HEAD)
    for heading in ("minutes", "MAE", "gender"):
        table.add_column(heading, justify="right")
    for name in library.names():
        config = Config.read(name)
        figures = recorded["recipes"].get(name, {})
        about = f"{escape(library.summary(name))}\nStarts from {_starts_from(config)}."
        table.add_row(f"[bold]{name}[/]\n{about}", *_cells(figures))
    console.out.print(table)
    console.note(f"minutes on {recorded['machine']}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A recipe's name or TOML file.", show_default=False)],
) -> None:
    """Print a recipe as TOML, with all that it extends, all its stages and all defaults.

    [bold]Example[/]

      agelens recipes show finetune > mine.toml
    """
    need_train()
    need("train", "tomli_w")
    import tomli_w

    from agelens.cli.train import read

    table = read(name, None, {}).table()
    del table["name"]  # a recipe has the name of its file
    typer.echo(tomli_w.dumps(table).rstrip())


def _starts_from(config: Any) -> str:
    """Name the recipes and the pre-trained networks that a recipe starts from."""
    from agelens.training.recipes.library import references

    parts = config.model.members or [config.model]
    pretrained = [one.backbone for one in parts if one.backbone != "scratch" and not one.weights]
    found = references(config.table()) + ([] if config.combine else pretrained)
    return ", ".join(found) or "random weights"


def _cells(figures: dict[str, float]) -> tuple[str, str, str]:
    if not figures:
        return "", "", ""
    return f"{max(figures['minutes'], 1):.0f}", f"{figures['mae']:.2f}", f"{figures['gender']:.1%}"
