"""`agelens combine`: several trained runs become one hybrid model."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options
from agelens.cli.extras import need_train


def combine(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, two or more.")],
    data: options.TrainingData,
    run: options.Run,
) -> None:
    """Combine trained runs into one ensemble model.

    Tries every subset of the runs with every pooling method on the validation folds, and exports
    the best.

    [bold]Example[/]

      agelens combine runs/scratch runs/finetune --data utkface --run runs/hybrid
    """
    need_train()
    from rich.table import Table

    from agelens.cli.progress import bar
    from agelens.training.experiments.combination import combine_runs

    with bar() as progress:
        about = combine_runs(runs, data, run, progress)
    table = Table(title="On validation folds, cross-fitted")
    for heading in ("members", "how", "MAE", "CS@5", "gender", "gender ECE"):
        table.add_column(heading, justify="left" if heading in ("members", "how") else "right")
    for way in about["ways"]:
        table.add_row(
            " + ".join(way["members"]),
            way["how"] if len(way["members"]) > 1 else "",
            f"{way['validation_mae']:.3f}",
            f"{way['validation_cs5']:.1%}",
            f"{way['validation_gender_accuracy']:.1%}",
            f"{way['validation_gender_ece']:.3f}",
        )
    console.out.print(table)
    against = about["against_best_member"]
    gap = against["mae_difference"]
    console.note(
        f"against {against['member']} alone: MAE {gap['value']:+.3f} years "
        f"({gap['low']:+.3f} to {gap['high']:+.3f})"
    )
    console.out.print(str(run / "model.onnx"), soft_wrap=True, highlight=False)
