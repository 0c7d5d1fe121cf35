"""`agelens report`: evaluations as a page that people can read."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options


def report(
    evaluations: Annotated[
        list[str],
        typer.Argument(
            metavar="EVALUATION...",
            help="Evaluation folders from `agelens evaluate`; NAME=FOLDER renames the model.",
        ),
    ],
    output: options.Output,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The dataset folder: adds image quality, the worst errors and saliency.",
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m",
            help="The model file for saliency, if it is not next to its evaluation.",
        ),
    ] = None,
    saliency_faces: options.SaliencyFaces = 32,
    threads: options.Threads = None,
) -> None:  # fmt: skip
    """Write an evaluation report as one HTML page, Markdown and JSON.

    The report shows how accurate a model is, where it fails, for which groups it fails, and how
    certain that is. Several models that were measured on the same faces are compared. With --data
    it contains pictures of the dataset: keep such a page to yourself.

    [bold]Examples[/]

      agelens report evaluation/default-split0-test --output report
      agelens report scratch=runs/scratch/evaluation-split0-test-flip \\
        finetune=runs/finetune/evaluation-split0-test-flip --data utkface --output report
    """
    options.need("data", "polars", "jinja2", "matplotlib")
    from agelens.reports.comparison.report import Plan, write

    plan = Plan(evaluations, output, data, models or (), saliency_faces, threads)
    with console.stages() as progress:
        made = write(plan, progress, console.command_line())
    for finding in made.opening:
        console.note(f"- {finding.text}")
    console.result(output / "report.html")
