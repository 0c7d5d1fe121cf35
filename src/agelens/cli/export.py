"""`agelens export`: from a run folder's best checkpoint to its ONNX model."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options
from agelens.cli.extras import need_train


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    data: options.TrainingData,
) -> None:
    """Export the best checkpoint of a run to model.onnx, even while it is training.

    [bold]Example[/]

      agelens export runs/scratch --data utkface
    """
    need_train()
    from agelens.cli.progress import bar
    from agelens.training.experiments.run import export_again

    with bar() as progress:
        about = export_again(run, data, progress)
    console.note(f"differs from torch by {about['parity_years']:.1e} years at most")
    console.result(run / "model.onnx")
