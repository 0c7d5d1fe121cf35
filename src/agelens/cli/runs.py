"""`agelens soup`, `combine`, `export` and `quantize`: models made of trained runs."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from agelens.cli import console, options


def soup(runs: options.Runs, data: options.TrainingData, run: options.Run) -> None:
    """Average the weights of several runs into one model (a model soup).

    All runs must have started from the same weights. The average starts with the best run by
    validation MAE; each other run joins it if that lowers the validation MAE.

    [bold]Example[/]

      agelens soup runs/finetune-distilled runs/finetune-continued --data utkface \\
        --run runs/finetune-soup
    """
    options.need_train()
    from agelens.training.experiments.combination import average_runs

    with console.bar() as progress:
        about = average_runs(runs, data, run, progress)
    rows = [(one["run"], one) for one in about["alone"]]
    rows += [(" + ".join(one["runs"]), one) for one in about["tries"]]
    console.table(["runs"], rows, console.VALIDATION, title="On validation folds")
    console.note(f"kept: {', '.join(about['kept'])}")
    console.result(run / "model.onnx")


def combine(runs: options.Runs, data: options.TrainingData, run: options.Run) -> None:
    """Combine trained runs into one ensemble model.

    Tries every subset of the runs with every pooling method on the validation folds, and exports
    the best.

    [bold]Example[/]

      agelens combine runs/scratch runs/finetune --data utkface --run runs/hybrid
    """
    options.need_train()
    from agelens.training.experiments.combination import combine_runs

    with console.bar() as progress:
        about = combine_runs(runs, data, run, progress)
    columns = {**console.VALIDATION, "gender ECE": ("validation_gender_ece", ".3f")}
    rows = [
        (" + ".join(way["members"]), way["how"] if len(way["members"]) > 1 else "", way)
        for way in about["ways"]
    ]
    title = "On validation folds, cross-fitted"
    console.table(["members", "how"], rows, columns, title=title)
    against = about["against_best_member"]
    gap = against["mae_difference"]
    console.note(
        f"against {against['member']} alone: MAE {gap['value']:+.3f} years "
        f"({gap['low']:+.3f} to {gap['high']:+.3f})"
    )
    console.result(run / "model.onnx")


def export(
    run: Annotated[Path, Argument(help="A run folder.")], data: options.TrainingData
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


def quantize(
    run: Annotated[Path, Argument(help="A run folder with a model.")],
    data: options.TrainingData,
    output: options.Run,
) -> None:
    """Quantize a model to 8 bits, which makes it smaller and faster.

    Tries several settings and keeps the one that loses least on the validation folds.

    [bold]Example[/]

      agelens quantize runs/hybrid --data utkface --run runs/hybrid-int8
    """
    options.need_train()
    from agelens.training.export import quantization

    with console.bar() as progress:
        about = quantization.quantize(run, data, output, progress)
    rows = [("float", about["whole"])]
    rows += [(f"{one['method']}, {one['whole']} in float", one) for one in about["tries"]]
    columns = {**console.VALIDATION, "age moved by": ("age_moved", ".2f")}
    console.table(["setting"], rows, columns, title="On validation folds")
    console.note(f"kept: {about['chosen']['method']}, {about['bytes'] / 1e6:.1f} MB")
    console.result(output / "model.onnx")
