"""`agelens models`: the shipped models with their size, accuracy and speed."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console

TIMED = 9  # faces, one by one


def models(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Run folders or ONNX files to list as well.")
    ] = None,
) -> None:
    """List the shipped models with their size, accuracy and speed.

    Use a model with `--model NAME`. The time per face is measured now, on one thread.

    [bold]Examples[/]

      agelens models
      agelens models runs/scratch runs/finetune
    """
    import numpy as np
    from rich.table import Table

    from agelens.inference.runtime import CHIP, Model, shipped
    from agelens.stopwatch import median_milliseconds

    face = np.random.default_rng(0).integers(0, 256, (1, CHIP, CHIP, 3), np.uint8)
    table = Table()
    for heading in ("name", "what", "MB", "ms a face", "age MAE", "CS@5", "gender", "on"):
        table.add_column(heading, justify="left" if heading in ("name", "what", "on") else "right")
    for name in [*shipped(), *map(str, files or [])]:
        model = Model(name, threads=1)
        card = model.card
        if test := card.get("test"):
            figures = [test["age_mae"], test["age_within_5"], test["gender_accuracy"]]
        else:
            keys = ("validation_mae", "validation_cs5", "validation_gender_accuracy")
            figures = [card.get("validation", {}).get(key) for key in keys]
        table.add_row(
            name,
            f"{card.get('name', '?')} ({card.get('backbone') or card.get('how', '?')})",
            f"{model.path.stat().st_size / 1e6:.1f}",
            f"{median_milliseconds(partial(model.run, face), TIMED):.1f}",
            *(
                "?" if figure is None else format(figure, form)
                for figure, form in zip(figures, (".2f", ".1%", ".1%"), strict=True)
            ),
            "test folds" if test else "validation folds",
        )
    console.out.print(table)
    console.note("weights: non-commercial research only")
