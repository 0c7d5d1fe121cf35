"""`agelens data explore`: what is in a dataset, and what is strange in it."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console
from agelens.cli.options import Dataset, Output


def explore(
    data: Dataset,
    output: Output,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help="landmarks.parquet or landmarks.txt from `agelens data landmarks`.",
            exists=True, dir_okay=False, show_default=False,
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
    from agelens.cli.extras import need

    need("data", "polars", "scipy", "sklearn", "matplotlib", "jinja2")
    import sys

    from agelens import provenance
    from agelens.cli.progress import bar
    from agelens.reports.explore import explore as explore_dataset

    with bar() as progress:
        task = progress.add_task("read the dataset", total=None)

        def report(step: str, done: int, total: int) -> None:
            progress.update(task, description=step, completed=done, total=total or None)

        command = provenance.command(["agelens", *sys.argv[1:]])
        explored = explore_dataset(data, output, landmarks, command, report)
    for step, seconds in explored.seconds.items():
        console.note(f"{step}: {seconds:.1f} s")
    for finding in explored.findings:
        mark = "!" if finding.kind == "strange" else "-"
        console.out.print(f"{mark} {finding.text}", highlight=False, markup=False)
    for file in (explored.page, explored.json, explored.weights):
        console.out.print(str(file), soft_wrap=True, highlight=False, markup=False)
