"""`agelens quantize`: the 8-bit variant of a model."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options
from agelens.cli.extras import need_train


def quantize(
    run: Annotated[Path, typer.Argument(help="A run folder with a model.", show_default=False)],
    data: options.TrainingData,
    output: Annotated[Path, typer.Option("--run", help="The run folder to write.")],
) -> None:
    """Quantize a model to 8 bits, which makes it smaller and faster.

    Tries several settings and keeps the one that loses least on the validation folds.

    [bold]Example[/]

      agelens quantize runs/hybrid --data utkface --run runs/hybrid-int8
    """
    need_train()
    from rich.table import Table

    from agelens.cli.progress import bar
    from agelens.training.export.quantization import quantize as start

    with bar() as progress:
        about = start(run, data, output, progress)
    table = Table(title="On validation folds")
    for heading in ("setting", "MAE", "CS@5", "gender", "age moved by"):
        table.add_column(heading, justify="left" if heading == "setting" else "right")
    rows = [("float", about["whole"])]
    rows += [(f"{one['method']}, {one['whole']} in float", one) for one in about["tries"]]
    for name, figures in rows:
        table.add_row(
            name,
            f"{figures['validation_mae']:.3f}",
            f"{figures['validation_cs5']:.1%}",
            f"{figures['validation_gender_accuracy']:.1%}",
            f"{figures['age_moved']:.2f}" if "age_moved" in figures else "",
        )
    console.out.print(table)
    console.note(f"kept: {about['chosen']['method']}, {about['bytes'] / 1e6:.1f} MB")
    console.out.print(str(output / "model.onnx"), soft_wrap=True, highlight=False)
