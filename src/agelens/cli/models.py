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
        is_text = heading in ("name", "what", "on")
        table.add_column(heading, justify="left" if is_text else "right")
    for name in [*shipped(), *map(str, files or [])]:
        model = Model(name, threads=1)
        card = model.card
        test, validation = card.get("test"), card.get("validation", {})
        figures = (
            [test["age_mae"], test["age_within_5"], test["gender_accuracy"]]
            if test
            else [validation.get(f"validation_{key}") for key in ("mae", "cs5", "gender_accuracy")]
        )
        table.add_row(
            name,
            f"{card.get('name', '?')} ({card.get('backbone') or card.get('how', '?')})",
            f"{model.path.stat().st_size / 1e6:.1f}",
            f"{median_milliseconds(partial(model.run, face), TIMED):.1f}",
            _show(figures[0], ".2f"),
            _show(figures[1], ".1%"),
            _show(figures[2], ".1%"),
            "test folds" if test else "validation folds",
        )
    console.out.print(table)
    console.note("weights: non-commercial research only")


def _show(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)
