"""`agelens models`: what is shipped, how large and how good."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console


def models(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Run folders or ONNX files to list too.")
    ] = None,
) -> None:
    """List the shipped models with size and figures; `--model NAME` picks one.

    [bold]Examples[/]

      agelens models
      agelens models runs/scratch runs/finetune
    """
    from rich.table import Table

    from agelens.runtime import Model, shipped

    table = Table()
    for heading in ("name", "what", "MB", "age MAE", "CS@5", "gender", "on"):
        table.add_column(heading, justify="right" if heading in ("MB", "age MAE") else "left")
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
            _show(figures[0], ".2f"),
            _show(figures[1], ".1%"),
            _show(figures[2], ".1%"),
            "test folds" if test else "validation folds",
        )
    console.out.print(table)
    console.note("weights: non-commercial research only")


def _show(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)
