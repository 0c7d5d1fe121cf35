"""`agelens predict`: the age and gender of every person in pictures and clips."""

import sys
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agelens.cli import console, options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agelens.cli.predict_clips import ClipOptions
    from agelens.errors import AgelensError
    from agelens.images.decode import Picture
    from agelens.images.sources import Source
    from agelens.output.tables import Writer
    from agelens.predictor import Predictor
    from agelens.results import Prediction


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Pictures, clips, folders (with subfolders), globs, or - for standard input.",
            show_default=False,
        ),
    ],
    form: options.Format = "table",
    output: options.OutputFile = None,
    annotate: Annotated[
        Path | None,
        typer.Option("--annotate", "-a", help="Folder for copies with boxes and labels drawn in."),
    ] = None,
    png: Annotated[
        bool,
        typer.Option("--png", help="Write annotated pictures as PNG, whatever the input format."),
    ] = False,
    chips: options.Chips = False,
    over: Annotated[
        list[int] | None,
        typer.Option(
            "--over",
            min=1,
            max=116,
            help="Also give the probability of this age or more (repeatable).",
        ),
    ] = None,
    fps: Annotated[
        float,
        typer.Option("--fps", min=0.01, help="Clips: frames to analyse per second."),
    ] = 5.0,
    every: Annotated[
        int | None,
        typer.Option("--every", min=1, help="Clips: analyse every N-th frame instead."),
    ] = None,
    per_frame: options.PerFrame = False,
    min_views: options.MinViews = 3,
    gender_threshold: options.GenderThreshold = 0.5,
    min_face: options.MinFace = 0,
    max_faces: options.MaxFaces = None,
    model: options.Model = None,
    threads: options.Threads = None,
    flip: options.Flip = None,
    longest: options.Longest = 1280,
) -> None:
    """Predict the age and gender of every person in pictures and clips.

    In a clip each person is tracked, and all views of a person are combined into one prediction
    (this needs the extra `video`). Annotated clips keep their sound.

    Exit code 1 means that some inputs could not be read: each failure is one line on standard
    error, and the other inputs are still predicted.

    [bold]Examples[/]

      agelens predict photo.jpg
      agelens predict photos/ --format csv --output people.csv --annotate marked/
      agelens predict door.jpg --over 18 --over 21 --gender-threshold 0.9 --min-face 40
      agelens predict clip.mp4 --annotate marked/
    """
    from agelens.cli.predict_clips import ClipOptions
    from agelens.images.sources import find
    from agelens.output.tables import replacing

    writer = options.writer_of(form)
    # Only paths so far: wrong ones end the run before the model is loaded.
    sources = _readable(list(find(paths, clips=not chips)), paths)
    if output is not None:
        _spare_inputs(output, sources)

    from agelens.predictor import load

    predictor = load(
        model,
        threads,
        flip=flip,
        longest=longest,
        gender_threshold=gender_threshold,
        min_face=min_face,
        max_faces=max_faces,
    )
    annotated = None if annotate is None else _AnnotatedFolder(annotate, sources, png)
    clip_options = ClipOptions(fps, every, per_frame, min_views)
    with nullcontext(sys.stdout) if output is None else replacing(output) as stream:
        clips = any(source.clip for source in sources)
        out = writer(stream, tuple(dict.fromkeys(over or ())), clips)
        failed = _run(predictor, sources, out, annotated, chips, clip_options)
        out.close()
    if failed:
        raise typer.Exit(1)


def _spare_inputs(output: Path, sources: "list[Source]") -> None:
    from agelens.errors import SourceError

    target = output.resolve()
    if any(isinstance(s.data, Path) and s.data.resolve() == target for s in sources):
        raise SourceError(f"--output {str(output)!r} is one of the inputs: choose another name")


def _readable(sources: "list[Source]", paths: list[str]) -> "list[Source]":
    """Without PyAV, skip the clips found in folders, and refuse those named on the command line."""
    from agelens.errors import MissingExtra
    from agelens.video.reader import pyav

    clips = [source.name for source in sources if source.clip]
    if clips:
        try:
            pyav()
        except MissingExtra as error:
            if len(clips) == len(sources) or not set(clips).isdisjoint(paths):
                raise
            console.warn(f"skipped {len(clips)} clips: {error}")
            return [source for source in sources if not source.clip]
    return sources


def _run(
    predictor: "Predictor", sources: "list[Source]", out: "Writer",
    annotated: "_AnnotatedFolder | None", chips: bool, clip_options: "ClipOptions",
) -> int:  # fmt: skip
    """Predict all sources and write them; return the number that failed."""
    from agelens.cli.predict_clips import predict_clips
    from agelens.cli.progress import bar

    failed = 0
    with bar() as progress:
        progress.disable = progress.disable or (len(sources) < 2 and not sources[0].clip)
        task = progress.add_task("predicting", total=len(sources))
        for clips, group in groupby(sources, lambda source: source.clip):
            if clips:
                target_of = None if annotated is None else annotated.free
                done = predict_clips(predictor, group, out, clip_options, target_of, progress)
            else:
                done = _predict_pictures(predictor, group, out, chips, annotated)
            for name, error in done:
                if error is not None:
                    failed += 1
                    console.fail(f"{name}: {error}")
                progress.advance(task)
    return failed


def _predict_pictures(
    predictor: "Predictor", sources: "Iterable[Source]", out: "Writer", chips: bool,
    annotated: "_AnnotatedFolder | None",
) -> "Iterator[tuple[str, AgelensError | None]]":  # fmt: skip
    """Predict and write pictures; yield the name of each, with its error if it failed."""
    keep = annotated is not None
    for answer in predictor.predict_stream(sources, chips=chips, keep_pictures=keep):
        out.add(
            answer.name, answer.predictions, None if answer.error is None else str(answer.error)
        )
        if annotated is not None and answer.picture is not None:
            annotated.write(answer.name, answer.picture, answer.predictions)
        yield answer.name, answer.error


class _AnnotatedFolder:
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

    def write(self, name: str, picture: "Picture", predictions: "list[Prediction]") -> None:
        from PIL import Image

        from agelens.output.drawing import annotate
        from agelens.output.tables import replacing

        given = Path("standard-input.png" if name == "-" else name)
        forms = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
        form = "PNG" if self._png else forms.get(given.suffix.lower(), "PNG")
        keep_ending = form != "PNG" or (given.suffix.lower() == ".png" and not self._png)
        target = self.free(str(given), given.suffix if keep_ending else ".png")
        with replacing(target, "wb") as stream:
            quality = {} if form == "PNG" else {"quality": 92}
            Image.fromarray(annotate(picture, predictions)).save(stream, form, **quality)

    def free(self, name: str, ending: str) -> Path:
        """Reserve a file name; a second file of that name, or an input, gets a number."""
        stem, number = Path(name).stem, 2
        target = self._folder / f"{stem}{ending}"
        while target.resolve() in self._taken:
            target = self._folder / f"{stem}-{number}{ending}"
            number += 1
        self._taken.add(target.resolve())
        return target
