"""`agelens tune`: find the best values of a recipe by many short runs."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options
from agelens.cli.train import read


def tune(
    data: options.Data,
    recipe: options.Recipe = None,
    space: Annotated[
        str, typer.Option(help="What may change: space, space-frozen, or a TOML file.")
    ] = "space",
    run: Annotated[
        Path | None,
        typer.Option(
            help="The study folder; an existing study continues (default: runs/tune-NAME)."
        ),
    ] = None,
    config: options.Config = None,
    trials: Annotated[int, typer.Option(min=1, help="Total number of trials in the study.")] = 20,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the cores.")] = 1,
    change: options.Changes = None,
) -> None:
    """Search for better hyperparameters of a recipe on the validation folds.

    Writes best.toml, trials.csv and plots. Run the same command again to continue a study that
    was stopped.

    [bold]Examples[/]

      agelens tune frozen-dlib --space space-frozen --data utkface
      agelens tune finetune --data utkface --trials 20 --set data.share=0.33 \\
        --set schedule.epochs=3
    """
    options.need_train()
    options.need("train", "optuna", "tomli_w", "matplotlib")
    from agelens.training.experiments.tuning import read_space
    from agelens.training.experiments.tuning import tune as start

    checked = read(recipe, config, change)
    ranges = read_space(space, checked)
    run = run or Path("runs", f"tune-{checked.name}")
    with console.bar() as progress:
        best = start(
            checked, ranges, data, run, trials, progress, workers=workers, on_trial=console.note
        )
    console.note(best.read_text("utf-8").splitlines()[0].removeprefix("# "))
    console.result(best)
