"""`agelens predict`: ages and genders of everyone in the pictures given."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agelens.cli import console, options

if TYPE_CHECKING:
    from agelens.images import Picture
    from agelens.outputs import Writer
    from agelens.predict import Answer, Predictor
    from agelens.sources import Source


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Pictures, folders (searched with subfolders), globs, or - for standard input.",
            show_default=False,
        ),
    ],
    form: Annotated[
        str, typer.Option("--format", "-f", help="How to write: table, json, jsonl or csv.")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, once it is whole.")
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option("--annotate", "-a", help="Also write pictures with boxes and labels here."),
    ] = None,
    png: Annotated[
        bool,
        typer.Option("--png", help="Annotated pictures become PNG, whatever the inputs were."),
    ] = False,
    chips: Annotated[
        bool, typer.Option("--chips", help="Inputs are square faces, aligned as in UTKFace.")
    ] = False,
    over: Annotated[
        list[int] | None,
        typer.Option("--over", min=1, max=116, help="Also give the chance to be this old."),
    ] = None,
    gender_threshold: options.GenderThreshold = 0.5,
    min_face: options.MinFace = 0,
    max_faces: options.MaxFaces = None,
    model: options.Model = None,
    threads: options.Threads = None,
    flip: options.Flip = None,
    longest: options.Longest = 1280,
) -> None:
    """Predict the age and gender of every person in pictures.

    Ends with 0 when every input was read, 1 when some were not (the others are still
    answered, each failure is one line on standard error), 2 for a wrong call.

    [bold]Examples[/]

      agelens predict photo.jpg
      agelens predict photos/ --format csv --output people.csv --annotate marked/
      agelens predict door.jpg --over 18 --over 21 --gender-threshold 0.9 --min-face 40
    """
    from agelens.outputs import Format, replacing, writer
    from agelens.sources import find

    try:
        kind = Format(form)
    except ValueError:
        raise typer.BadParameter(
            f"{form!r}: expected one of {', '.join(Format)}", param_hint="--format"
        ) from None
    sources = list(find(paths))  # paths only; wrong ones end the run before the model loads

    if output is not None:
        _spare_inputs(output, sources)

    from agelens.predict import load

    predictor = load(
        model,
        threads,
        flip=flip,
        longest=longest,
        gender_threshold=gender_threshold,
        min_face=min_face,
        max_faces=max_faces,
    )
    marked = None if annotate is None else _Marked(annotate, sources, png)
    ages = tuple(dict.fromkeys(over or ()))
    if output is None:
        failed = _run(predictor, sources, writer(kind, sys.stdout, ages), marked, chips)
    else:
        with replacing(output) as stream:
            failed = _run(predictor, sources, writer(kind, stream, ages), marked, chips)
    if failed:
        raise typer.Exit(1)


def _spare_inputs(output: Path, sources: "list[Source]") -> None:
    from agelens.errors import SourceError

    target = output.resolve()
    if any(isinstance(s.data, Path) and s.data.resolve() == target for s in sources):
        raise SourceError(f"--output {str(output)!r} is one of the inputs: choose another name")


def _run(
    predictor: "Predictor",
    sources: "list[Source]",
    out: "Writer",
    marked: "_Marked | None",
    chips: bool,
) -> int:
    """Predict all sources and write them; give the number that failed."""
    from agelens.cli.progress import bar

    failed = 0
    with bar() as progress:
        progress.disable = not console.err.is_terminal or len(sources) < 2
        task = progress.add_task("predicting", total=len(sources))
        for answer in predictor.predict_stream(
            sources, chips=chips, keep_pictures=marked is not None
        ):
            error = None if answer.error is None else str(answer.error)
            out.add(answer.name, answer.predictions, error)
            if error is not None:
                failed += 1
                console.fail(f"{answer.name}: {error}")
            elif marked is not None:
                marked.write(answer)
            progress.advance(task)
    out.close()
    return failed


class _Marked:
    """Writes annotated pictures under the names of their inputs, never over an input."""

    def __init__(self, folder: Path, sources: "list[Source]", png: bool) -> None:
        from agelens.errors import SourceError

        self._folder = folder
        self._png = png
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(
                f"cannot write to {str(folder)!r}: {error.strerror or error}; "
                "expected a folder for --annotate"
            ) from error
        self._taken = {s.data.resolve() for s in sources if isinstance(s.data, Path)}

    def write(self, answer: "Answer") -> None:
        from agelens.draw import annotate

        if answer.picture is not None:
            _save(annotate(answer.picture, answer.predictions), self._free(answer.name))

    def _free(self, name: str) -> Path:
        """Keep the name; a second file of that name, or an input, gets a number."""
        given = Path("standard-input.png" if name == "-" else name)
        written = not self._png and given.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
        ending = given.suffix if written else ".png"
        target = self._folder / f"{given.stem}{ending}"
        number = 2
        while target.resolve() in self._taken:
            target = self._folder / f"{given.stem}-{number}{ending}"
            number += 1
        self._taken.add(target.resolve())
        return target


def _save(picture: "Picture", target: Path) -> None:
    from PIL import Image

    from agelens.outputs import replacing

    form = {".png": "PNG", ".webp": "WEBP"}.get(target.suffix.lower(), "JPEG")
    with replacing(target, "wb") as stream:
        Image.fromarray(picture).save(stream, form, **({} if form == "PNG" else {"quality": 92}))
