"""`agelens benchmark`: a recipe, or a pool of models, on the whole protocol."""

from pathlib import Path
from typing import Annotated, Any

import typer

from agelens.cli import console, options

COLUMNS = {
    "MAE": ("age_mae", ".3f"),
    "CS@5": ("age_within_5", ".2%"),
    "MAE 21-60": ("age_mae_21_60", ".3f"),
    "gender": ("gender_accuracy", ".2%"),
    "gender from 13": ("gender_accuracy_13", ".2%"),
}


def benchmark(
    data: options.Data,
    run: Annotated[Path, typer.Option(help="The folder that holds the runs of all splits.")],
    config: Annotated[Path | None, typer.Option(help="The recipe to train, a TOML file.")] = None,
    members: Annotated[
        list[Path] | None,
        typer.Option(
            "--combine", help="Instead of a recipe: combine other such RUNs (repeatable)."
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help="Only five-splits so far.")] = "five-splits",
    splits: Annotated[
        list[int] | None,
        typer.Option("--split", min=0, max=4, help="Only this split (repeatable)."),
    ] = None,
    flip: Annotated[bool, typer.Option(help="Average each face with its mirror image.")] = True,
    change: options.Changes = None,
) -> None:
    """Train and evaluate a model on each of five splits: mean and standard deviation.

    Writes RUN/protocol.json. Run the same command again to continue after a stop.

    [bold]Examples[/]

      agelens benchmark --config concat --data utkface --run runs/protocol/concat

      agelens benchmark --combine runs/a --combine runs/b --data utkface --run runs/both
    """
    options.need_train()

    from agelens.cli.train import overrides
    from agelens.training.experiments.cross_validation import five_splits
    from agelens.training.recipes.config import Config

    if protocol != "five-splits":
        raise typer.BadParameter(f"{protocol!r}: expected five-splits", param_hint="--protocol")
    if (config is None) == (not members):
        raise typer.BadParameter("expected either --config or --combine", param_hint="--config")
    if members and change:
        raise typer.BadParameter(
            "--set changes a recipe: give it with --config", param_hint="--set"
        )
    wanted = {"splits": sorted(set(splits))} if splits else {}
    recipe = Config.read(config, overrides(change or [])) if config else None
    source: Any = recipe or members
    name = recipe.name if recipe else " + ".join(member.name for member in source)

    def print_split(row: dict[str, Any]) -> None:
        console.note(
            f"split {row['split']}: MAE {row['age_mae']:.3f}, CS@5 {row['age_within_5']:.1%}, "
            f"gender {row['gender_accuracy']:.1%}"
        )

    with console.bar() as progress:
        about = five_splits(
            source, data, run, progress, flip=flip, on_split=print_split,
            command=console.command_line(), **wanted,
        )  # fmt: skip
    rows: list[Any] = [([str(row["split"])], row) for row in about["splits"]]
    rows += [None, (["mean"], about["mean"])]
    if len(about["splits"]) > 1:
        rows.append((["s.d."], about["standard_deviation"]))
    title = f"{name}, test folds{', flip' if flip else ''}"
    console.table(["split"], COLUMNS, rows, title=title)
    console.result(run / "protocol.json")
