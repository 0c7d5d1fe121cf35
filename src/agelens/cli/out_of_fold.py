"""`agelens data out-of-fold`: what a model says of every face that it never saw."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options


def out_of_fold(
    data: options.Dataset,
    output: Annotated[
        Path | None,
        typer.Option(help="The Parquet file to write (default: DATA/out-of-fold.parquet)."),
    ] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="Backbone for the features: faceres-deep or dlib (repeatable; default: both)."
        ),
    ] = None,
    split: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=4,
            help="Only the training faces of this split, as a distillation teacher (data.teacher).",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Heads to average in each fold.")] = 2,
    threads: options.Threads = None,
) -> None:
    """Predict every face with a model that was trained on the other folds.

    Trains a small head for each fold on the features of a frozen pre-trained face network. The
    features are computed once and cached in DATA. The file has the columns of `agelens
    evaluate`'s predictions.parquet. Recipes use it as a distillation teacher (data.teacher, with
    --split), and `agelens data audit` uses it to find wrong labels. Run the same command again to
    continue after a stop.

    [bold]Examples[/]

      agelens data out-of-fold utkface
      agelens data out-of-fold utkface --split 0 --output teacher.parquet
    """
    options.need_train()
    import torch

    from agelens.data.dataset import Dataset
    from agelens.training.experiments import out_of_fold as answers

    if threads:
        torch.set_num_threads(threads)
    dataset = Dataset(data)
    path = output or data / "out-of-fold.parquet"
    with console.bar() as progress:
        table, about = answers.predict_out_of_fold(
            dataset, progress, tuple(backbone or answers.BACKBONES), seeds, split
        )
    answers.write(table, about, path)
    console.note(
        f"{about['faces']:,} faces, each by a head trained on the other folds: "
        f"MAE {about['age_mae']:.3f} years, CS@5 {about['cs5']:.1%}, "
        f"gender accuracy {about['gender_accuracy']:.1%} against the labels"
    )
    console.result(path)
