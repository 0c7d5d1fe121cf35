"""Options that several commands share, each with one wording and one range."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agelens.output.tables import Format as OutputFormat

Dataset = Annotated[
    Path,
    typer.Argument(help="A dataset folder, made by `agelens data import`.", show_default=False),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The folder to write to.", show_default=False)
]

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
        help="Average each face with its mirror image (default: as the model says).",
    ),
]
Longest = Annotated[
    int,
    typer.Option(
        "--longest",
        min=320,
        max=8000,
        help="Long side in pixels at which faces are searched; raise it for crowds.",
    ),
]
GenderThreshold = Annotated[
    float,
    typer.Option(
        "--gender-threshold",
        min=0.5,
        max=1.0,
        help="Give a gender only from this probability on.",
    ),
]
MinFace = Annotated[
    float, typer.Option("--min-face", min=0, help="Pass over faces under this many pixels.")
]
MaxFaces = Annotated[
    int | None,
    typer.Option("--max-faces", min=1, help="Answer only the largest faces of each picture."),
]
MinViews = Annotated[
    int, typer.Option("--min-views", min=1, help="Leave out who is seen in fewer frames of a clip.")
]
Format = Annotated[
    str, typer.Option("--format", "-f", help="How to write: table, json, jsonl or csv.")
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to this file, once it is whole.")
]


def format_of(form: str) -> "OutputFormat":
    """Give the format of --format, or end with a wrong call."""
    from agelens.output.tables import Format

    try:
        return Format(form)
    except ValueError:
        raise typer.BadParameter(
            f"{form!r}: expected one of {', '.join(Format)}", param_hint="--format"
        ) from None
