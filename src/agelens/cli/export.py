"""`agelens export`: from a run folder's best checkpoint to its ONNX model."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")], data: options.TrainingData
) -> None:
    """Export the best checkpoint of a run to model.onnx, even while it is training.

    [bold]Example[/]

      agelens export runs/scratch --data utkface
    """
    options.need_train()
    from agelens.training.experiments.run import export_again

    with console.bar() as progress:
        about = export_again(run, data, progress)
    console.note(f"differs from torch by {about['parity_years']:.1e} years at most")
    console.result(run / "model.onnx")
