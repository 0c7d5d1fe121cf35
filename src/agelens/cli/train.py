"""`agelens train`: from a recipe and a dataset folder to a run folder with a model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from agelens.cli import console, options
from agelens.cli.extras import need, need_train


def train(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file.", show_default=False)],
    data: options.Data,
    run: options.Run,
    resume: Annotated[bool, typer.Option(help="Continue a run that was stopped.")] = False,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            help="Processes that share each batch, with Ray (extra `scale`; experimental).",
        ),
    ] = 1,
    address: options.RayAddress = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            help="An actions.csv from `agelens data audit`: leave out the faces it excludes."
        ),
    ] = None,
    downweight: Annotated[
        Path | None,
        typer.Option(help="An actions.csv or weights.csv with a weight for each training face."),
    ] = None,
    change: options.Changes = None,
) -> None:
    """Train a model and export it.

    [bold]Examples[/]

      agelens train --config configs/scratch.toml --data utkface --run runs/scratch
      agelens train --config configs/finetune.toml --data utkface --run runs/finetune --resume
      agelens train --config configs/tiny.toml --data utkface --run runs/try --set data.share=0.1
      agelens train --config my.toml --data utkface --run runs/my --exclude audit/actions.csv
      agelens train --config configs/scratch.toml --data utkface --run runs/two --workers 2
    """
    need_train()
    shared = workers > 1 or address is not None
    if shared:
        need("scale", "ray")
    from agelens.cli.progress import bar
    from agelens.training.recipes.config import Config

    changes = overrides(change or [])
    for key, file in (("data.exclude", exclude), ("data.downweight", downweight)):
        if file is not None:
            changes[key] = str(file)
    recipe = Config.read(config, changes)
    with bar() as progress:
        if shared:
            from agelens.training.experiments.ray_workers import train as start_workers

            about = start_workers(
                recipe, data, run, progress, workers,
                address=address, resume=resume, on_epoch=_print_epoch,
            )  # fmt: skip
        else:
            from agelens.training.experiments.run import train as start

            about = start(recipe, data, run, progress, resume=resume, on_epoch=_print_epoch)
    best = about["best"]
    console.note(
        f"best epoch {best['epoch']:.0f}: validation MAE {best['validation_mae']:.3f} years, "
        f"CS@5 {best['validation_cs5']:.1%}, "
        f"gender accuracy {best['validation_gender_accuracy']:.1%}"
    )
    console.out.print(str(run / "model.onnx"), soft_wrap=True, highlight=False)


def _print_epoch(row: dict[str, float]) -> None:
    console.note(
        f"epoch {row['epoch']:>3.0f}  loss {row['train_loss']:.3f}  "
        f"validation loss {row['validation_loss']:.3f}  MAE {row['validation_mae']:.3f}  "
        f"CS@5 {row['validation_cs5']:.1%}  gender {row['validation_gender_accuracy']:.1%}  "
        f"{row['train_seconds']:.0f} s, {row['faces_per_second']:.0f} faces/s"
    )


def overrides(changes: list[str]) -> dict[str, Any]:
    """Read `section.key=value` words, the values as TOML; a bare word is a string."""
    import tomllib

    values: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{change!r}: expected section.key=value", param_hint="--set")
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = text  # a bare word is a string
    return values
