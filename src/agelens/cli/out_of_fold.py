"""`agelens data out-of-fold`: what a model says of every face that it never saw."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console
from agelens.cli.extras import need_train
from agelens.cli.options import Threads

Backbones = Annotated[
    list[str] | None,
    typer.Option(
        "--backbone",
        help="faceres-deep or dlib, whose features are read; more than once: both (default).",
        show_default=False,
    ),
]


def out_of_fold(
    data: Annotated[Path, typer.Argument(help="A dataset folder, made by `agelens data import`.")],
    output: Annotated[
        Path | None,
        typer.Option(help="The Parquet file to write (default: DATA/out-of-fold.parquet)."),
    ] = None,
    backbone: Backbones = None,
    split: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=4,
            help="Only the training faces of this split: for a teacher (data.teacher).",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Heads averaged in each fold.")] = 2,
    threads: Threads = None,
) -> None:
    """Answer every face by a model that was trained on the other folds.

    A pre-trained face network stays as it is; on its features a small head is trained for each
    fold. The features are computed once and kept in DATA. The file has the columns of
    `agelens evaluate`'s predictions.parquet, so a recipe can learn from it (data.teacher, with
    --split); with it `agelens data audit` looks for wrong labels. Stop it at any time: the same
    command goes on.

    [bold]Examples[/]

      agelens data out-of-fold utkface
      agelens data out-of-fold utkface --split 0 --output teacher.parquet
    """
    need_train()
    import torch

    from agelens.cli.progress import bar
    from agelens.data.dataset import Dataset
    from agelens.training.experiments import out_of_fold as answers

    if threads:
        torch.set_num_threads(threads)
    dataset = Dataset(data)
    path = output or data / "out-of-fold.parquet"
    with bar() as progress:
        table, about = answers.out_of_fold(
            dataset, progress, tuple(backbone or answers.BACKBONES), seeds, split
        )
    answers.write(table, about, path)
    console.note(
        f"{about['faces']:,} faces, each by a head trained on the other folds: "
        f"MAE {about['age_mae']:.3f} years, CS@5 {about['cs5']:.1%}, "
        f"gender accuracy {about['gender_accuracy']:.1%} against the labels"
    )
    console.out.print(str(path), soft_wrap=True, highlight=False)
