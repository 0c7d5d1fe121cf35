"""`agelens audit-model`: whether a model's certainty holds on the user's own labelled faces."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agelens.cli import console, options

if TYPE_CHECKING:
    from agelens.reports.numbers import Node


def audit_model(
    data: options.Data,
    model: Annotated[
        str | None,
        typer.Argument(help="A shipped model's name, a run folder, or a file.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path(
        "audit-model"
    ),
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
) -> None:
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
    from agelens.cli.extras import need

    need("data", "polars", "jinja2", "matplotlib", "scipy")
    if recalibrate:
        need("train", "onnx")
    import sys

    from agelens import provenance
    from agelens.cli.progress import stages
    from agelens.reports.model_audit import Plan, audit

    if saliency_faces == 1:
        raise typer.BadParameter("1: expected 0, or 2 or more", param_hint="--saliency-faces")
    plan = Plan(data, output, model, recalibrate, flip, seed, saliency_faces, threads)
    with stages() as progress:
        done = audit(plan, progress, provenance.command(["agelens", *sys.argv[1:]]))
    for finding in done.made.opening:
        mark = "!" if finding.kind == "strange" else "-"
        console.out.print(f"{mark} {finding.text}", highlight=False, markup=False)
    if recalibrate:
        _print_before_and_after(done.audit["recalibration"])
    for file in (output / "report.html", done.recalibrated):
        if file is not None:
            console.out.print(str(file), soft_wrap=True, highlight=False, markup=False)


def _print_before_and_after(found: "Node") -> None:
    from rich.table import Table

    from agelens.reports.model_audit import before_and_after

    faces = f"{found['faces'].value:,}"
    table = Table(
        title=f"on the {faces} faces that it was not fitted on, with 95 % intervals",
        title_justify="left",
    )
    for heading in ("", "before", "after", "difference"):
        table.add_column(heading)
    for row in before_and_after(found):
        table.add_row(*row)
    console.out.print(table)
