"""`agelens benchmark`: a recipe, or a pool of models, on the whole protocol."""

from pathlib import Path
from typing import Annotated, Any

import typer

from agelens.cli import console, options
from agelens.cli.extras import need_train

PROTOCOLS = ("five-splits",)


def benchmark(
    data: options.Data,
    run: Annotated[Path, typer.Option(help="The folder that holds the runs of all splits.")],
    config: Annotated[Path | None, typer.Option(help="The recipe to train, a TOML file.")] = None,
    members: Annotated[
        list[Path] | None,
        typer.Option(
            "--combine",
            help="Instead of a recipe: combine other such RUNs (repeatable).",
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help="Only five-splits so far.")] = "five-splits",
    splits: Annotated[
        list[int] | None,
        typer.Option("--split", min=0, max=4, help="Only this split (repeatable)."),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Average each face with its mirror image.")
    ] = True,
    change: options.Changes = None,
) -> None:
    """Train and evaluate a model on each of five splits: mean and standard deviation.

    Writes RUN/protocol.json. Run the same command again to continue after a stop.

    [bold]Examples[/]

      agelens benchmark --config concat --data utkface --run runs/protocol/concat

      agelens benchmark --combine runs/a --combine runs/b --data utkface --run runs/both
    """
    need_train()
    import sys

    from rich.table import Table

    from agelens import provenance
    from agelens.cli.progress import bar
    from agelens.cli.train import overrides
    from agelens.training.experiments.cross_validation import (
        ensemble_method,
        five_splits,
        recipe_method,
    )
    from agelens.training.recipes.config import Config

    if protocol not in PROTOCOLS:
        raise typer.BadParameter(
            f"{protocol!r}: expected {', '.join(PROTOCOLS)}", param_hint="--protocol"
        )
    if (config is None) == (not members):
        raise typer.BadParameter("expected either --config or --combine", param_hint="--config")
    if members and change:
        raise typer.BadParameter(
            "--set changes a recipe: give it with --config", param_hint="--set"
        )
    wanted = {"splits": tuple(sorted(set(splits)))} if splits else {}
    with bar() as progress:
        if config:
            method = recipe_method(Config.read(config, overrides(change or [])), data, progress)
        else:
            method = ensemble_method(members or [], data, progress)
        about = five_splits(
            method, data, run, progress, flip=flip, on_split=_print_split,
            command=provenance.command(["agelens", *sys.argv[1:]]), **wanted,
        )  # fmt: skip
    table = Table(title=f"{method.name}, test folds{', flip' if flip else ''}")
    for heading in ("split", "MAE", "CS@5", "MAE 21-60", "gender", "gender from 13"):
        table.add_column(heading, justify="right")
    for row in about["splits"]:
        table.add_row(str(row["split"]), *_cells(row))
    table.add_section()
    table.add_row("mean", *_cells(about["mean"]))
    if len(about["splits"]) > 1:
        table.add_row("s.d.", *_cells(about["standard_deviation"]))
    console.out.print(table)
    console.out.print(str(run / "protocol.json"), soft_wrap=True, highlight=False)


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['age_mae']:.3f}",
        f"{row['age_within_5']:.2%}",
        f"{row['age_mae_21_60']:.3f}",
        f"{row['gender_accuracy']:.2%}",
        f"{row['gender_accuracy_13']:.2%}",
    ]


def _print_split(row: dict[str, Any]) -> None:
    console.note(
        f"split {row['split']}: MAE {row['age_mae']:.3f}, CS@5 {row['age_within_5']:.1%}, "
        f"gender {row['gender_accuracy']:.1%}"
    )
