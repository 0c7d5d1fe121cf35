"""Arguments and options that several commands share, each with one wording and one range."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agelens.output.tables import Writer

# data, runs and what is written
_DATASET = "A dataset folder, made by `agelens data import`."
Dataset = Annotated[Path, typer.Argument(help=_DATASET, show_default=False)]
Data = Annotated[Path, typer.Option("--data", help=_DATASET, show_default=False)]
TrainingData = Annotated[Path, typer.Option("--data", help="The dataset folder of the training.")]
Run = Annotated[Path, typer.Option("--run", help="The run folder to write.")]
Runs = Annotated[list[Path], typer.Argument(help="Run folders, two or more.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The folder to write to.", show_default=False)
]
Format = Annotated[
    str, typer.Option("--format", "-f", help="Output format: table, json, jsonl or csv.")
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to this file, not standard output.")
]

# recipes and clusters
Recipe = Annotated[
    str | None,
    typer.Argument(
        help="A recipe: a name of `agelens recipes` or a TOML file.", show_default=False
    ),
]
Config = Annotated[
    str | None,
    typer.Option("--config", help="Deprecated: give the recipe as RECIPE.", hidden=True),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a value of the recipe: section.key=value (repeatable)."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(help="HOST:PORT of a Ray cluster, or auto (default: start Ray here)."),
]

# models and predictions
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A shipped model's name, a run folder, or a file."),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Processor threads (default: all).")
]
Flip = Annotated[
    bool | None,
    typer.Option(
        "--flip/--no-flip",
        help="Average each face with its mirror image (default: set by the model).",
    ),
]
Longest = Annotated[
    int,
    typer.Option(
        min=320, max=8000, help="Long side in pixels for face detection; raise it for crowds."
    ),
]
GenderThreshold = Annotated[
    float, typer.Option(min=0.5, max=1.0, help="Give a gender only at or above this probability.")
]
MinFace = Annotated[float, typer.Option(min=0, help="Ignore faces smaller than this many pixels.")]
MaxFaces = Annotated[
    int | None, typer.Option(min=1, help="Predict only the N largest faces of each picture.")
]
Chips = Annotated[
    bool, typer.Option("--chips", help="Inputs are aligned square face chips, as in UTKFace.")
]
PerFrame = Annotated[
    bool, typer.Option("--per-frame", help="Also write the prediction of each frame of a clip.")
]
MinViews = Annotated[
    int, typer.Option(min=1, help="Leave out people who appear in fewer frames of a clip.")
]
SaliencyFaces = Annotated[
    int, typer.Option(min=0, help="Number of faces for saliency maps; 0 for none.")
]


def writer_of(form: str) -> "type[Writer]":
    """Return the writer that --format names. Raises BadParameter for an unknown format."""
    from agelens.output.tables import WRITERS

    if form not in WRITERS:
        raise typer.BadParameter(
            f"{form!r}: expected one of {', '.join(WRITERS)}", param_hint="--format"
        )
    return WRITERS[form]
