"""`agelens tune`: the best values of a recipe, found by many short runs."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console
from agelens.cli.extras import need, need_train


def tune(
    config: Annotated[Path, typer.Option(help="The recipe to start from.", show_default=False)],
    space: Annotated[Path, typer.Option(help="What may change, a TOML file.", show_default=False)],
    data: Annotated[Path, typer.Option(help="A dataset folder, made by `agelens data import`.")],
    run: Annotated[Path, typer.Option(help="The folder of the study; an old one goes on.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials the study shall have in all.")] = 20,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the cores.")] = 1,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a value of the recipe, as `section.key=value`."),
    ] = None,
) -> None:
    """Tune a recipe on the validation folds; writes best.toml, trials.csv and plots.

    A study that was stopped goes on when the same command is given again.

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
