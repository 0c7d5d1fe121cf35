"""`agelens tune`: the best values of a recipe, found by many short runs."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options
from agelens.cli.extras import need, need_train


def tune(
    config: Annotated[Path, typer.Option(help="The recipe to start from.", show_default=False)],
    space: Annotated[Path, typer.Option(help="The search space, a TOML file.", show_default=False)],
    data: options.Data,
    run: Annotated[Path, typer.Option(help="The study folder; an existing study continues.")],
    trials: Annotated[int, typer.Option(min=1, help="Total number of trials in the study.")] = 20,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the cores.")] = 1,
    change: options.Changes = None,
) -> None:
    """Search for better hyperparameters of a recipe on the validation folds.

    Writes best.toml, trials.csv and plots. Run the same command again to continue a study that
    was stopped.

    [bold]Example[/]

      agelens tune --config configs/finetune.toml --space configs/space.toml --data utkface \\
        --run runs/tune --trials 20 --set data.share=0.33 --set schedule.epochs=3
    """
    need_train()
    need("train", "optuna", "tomli_w", "matplotlib")
    from agelens.cli.progress import bar
    from agelens.cli.train import overrides
    from agelens.training.experiments.tuning import read_space
    from agelens.training.experiments.tuning import tune as start
    from agelens.training.recipes.config import Config

    recipe = Config.read(config, overrides(change or []))
    ranges = read_space(space, recipe)
    with bar() as progress:
        best = start(
            recipe, ranges, data, run, trials, progress, workers=workers, on_trial=console.note
        )
    console.note(best.read_text("utf-8").splitlines()[0].removeprefix("# "))
    console.out.print(str(best), soft_wrap=True, highlight=False)
