"""`agelens data explore`: what is in a dataset, and what is strange in it."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options


def explore(
    data: options.Dataset,
    output: options.Output,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help="landmarks.parquet or landmarks.txt from `agelens data landmarks`.",
            exists=True, dir_okay=False,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Describe the labels and pictures of a dataset in a report.

    Writes OUTPUT/explore.html, a self-contained report (it contains faces: keep it to yourself),
    explore.json with the same facts, and weights.csv with a weight for each face, for use with
    `agelens train --downweight`. Measurements of the pictures are cached in the dataset folder,
    so a second run is fast. Run the same command again to continue after a stop.

    [bold]Examples[/]

      agelens data explore utkface --output explored
      agelens data explore utkface --output explored --landmarks landmarks/landmarks.parquet
    """
    options.need("data", "polars", "scipy", "sklearn", "matplotlib", "jinja2")
    from agelens.reports.explore import explore as explore_dataset

    with console.stages() as report:
        explored = explore_dataset(data, output, landmarks, console.command_line(), report)
    for step, seconds in explored.seconds.items():
        console.note(f"{step}: {seconds:.1f} s")
    console.report(explored.findings, explored.page, explored.json, explored.table)
