"""`agelens soup`: the mean of several runs' weights."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options
from agelens.cli.extras import need_train


def soup(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, two or more.")],
    data: options.TrainingData,
    run: options.Run,
) -> None:
    """Average the weights of several runs into one model (a model soup).

    All runs must have started from the same weights. The average starts with the best run by
    validation MAE; each other run joins it if that lowers the validation MAE.

    [bold]Example[/]

      agelens soup runs/finetune-distilled runs/finetune-continued --data utkface \\
        --run runs/finetune-soup
    """
    need_train()
    from rich.table import Table

    from agelens.cli.progress import bar
    from agelens.training.experiments.combination import average_runs

    with bar() as progress:
        about = average_runs(runs, data, run, progress)
    table = Table(title="On validation folds")
    for heading in ("runs", "MAE", "CS@5", "gender"):
        table.add_column(heading, justify="left" if heading == "runs" else "right")
    alone = [{**one, "runs": [one["run"]]} for one in about["alone"]]
    for one in alone + about["tries"]:
        table.add_row(
            " + ".join(one["runs"]),
            f"{one['validation_mae']:.3f}",
            f"{one['validation_cs5']:.1%}",
            f"{one['validation_gender_accuracy']:.1%}",
        )
    console.out.print(table)
    console.note(f"kept: {', '.join(about['kept'])}")
    console.out.print(str(run / "model.onnx"), soft_wrap=True, highlight=False)
