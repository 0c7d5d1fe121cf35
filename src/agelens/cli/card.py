"""`agelens card`: the model card of a model."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options


def card(
    model: Annotated[str, typer.Argument(help="A shipped model's name, a run folder, or a file.")],
    output: options.Output,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            help="Its evaluation folder (default: the one on test folds in its run folder)."
        ),
    ] = None,
    timing: Annotated[bool, typer.Option(help="Measure the time per face.")] = True,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads for the timing.")] = 1,
) -> None:
    """Write the model card of a model: use, limits, data, accuracy by group, cost.

    Writes `model-card.md` and `model-card.html`. The figures come from the evaluation; the time
    per face is measured now.

    [bold]Examples[/]

      agelens card runs/finetune --output cards/finetune
      agelens card default --evaluation evaluation/default-split0-test --output docs
    """
    options.need("data", "polars", "jinja2", "matplotlib")
    from agelens.reports.model_card import write

    made = write(
        model, output, evaluation=evaluation, timing=timing, threads=threads,
        progress=console.note,
    )  # fmt: skip
    for finding in made.opening:
        console.note(f"- {finding.text}")
    console.result(output / "model-card.md")
