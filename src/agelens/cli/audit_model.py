"""`agelens audit-model`: whether a model's certainty holds on the user's own labelled faces."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options


def audit_model(
    data: options.Data,
    model: Annotated[
        str | None,
        typer.Argument(help="A shipped model's name, a run folder, or a file."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write to.")
    ] = Path("audit-model"),
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate",
            help="Recalibrate on half of the faces, test on the other half, and keep the new "
            "model if it is better.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random halves.")] = 0,
    flip: options.Flip = None,
    saliency_faces: options.SaliencyFaces = 0,
    threads: options.Threads = None,
) -> None:  # fmt: skip
    """Check a model's calibration on your own labelled faces.

    Writes `report.html`, the page of `agelens report` with the verdict at its top (it contains
    faces of the dataset: keep it to yourself), the same as `report.md` and `report.json`, and the
    evaluation itself. With --recalibrate it also writes `recalibrated.onnx`, a model like any
    other, if that one is better on the faces it was not fitted on.

    [bold]Examples[/]

      agelens audit-model --data mine
      agelens audit-model --data mine --recalibrate --output audited
      agelens predict photo.jpg --model audited/recalibrated.onnx
    """
    options.need("data", "polars", "jinja2", "matplotlib", "scipy")
    if recalibrate:
        options.need("train", "onnx")
    from agelens.reports.model_audit import Plan, audit, before_and_after

    plan = Plan(data, output, model, recalibrate, flip, seed, saliency_faces, threads)
    with console.stages() as progress:
        done = audit(plan, progress, console.command_line())
    console.report(done.made.opening)
    if recalibrate:
        found = done.audit["recalibration"]
        console.table(
            ("", "before", "after", "difference"), {},
            [(row, {}) for row in before_and_after(found)], title_justify="left",
            title=f"on the {found['faces'].value:,} faces that it was not fitted on, "
            "with 95 % intervals",
        )  # fmt: skip
    console.report((), output / "report.html", done.recalibrated)
