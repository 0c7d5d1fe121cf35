"""`agelens quantize`: the 8-bit variant of a model."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options


def quantize(
    run: Annotated[Path, typer.Argument(help="A run folder with a model.")],
    data: options.TrainingData,
    output: options.Run,
) -> None:
    """Quantize a model to 8 bits, which makes it smaller and faster.

    Tries several settings and keeps the one that loses least on the validation folds.

    [bold]Example[/]

      agelens quantize runs/hybrid --data utkface --run runs/hybrid-int8
    """
    options.need_train()
    from agelens.training.export.quantization import quantize as start

    with console.bar() as progress:
        about = start(run, data, output, progress)
    rows = [(["float"], about["whole"])]
    rows += [([f"{one['method']}, {one['whole']} in float"], one) for one in about["tries"]]
    columns = {**console.VALIDATION, "age moved by": ("age_moved", ".2f")}
    console.table(["setting"], columns, rows, title="On validation folds")
    console.note(f"kept: {about['chosen']['method']}, {about['bytes'] / 1e6:.1f} MB")
    console.result(output / "model.onnx")
