"""`agelens predict`: the age and gender of every person in pictures and clips."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain, count, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from agelens.cli import console, options
from agelens.errors import AgelensError, MissingExtra, SourceError

if TYPE_CHECKING:
    from rich.progress import Progress

    from agelens.images.decode import Picture
    from agelens.images.sources import Source
    from agelens.output.tables import Writer
    from agelens.predictor import Predictor
    from agelens.results import Prediction
    from agelens.video.pipeline import Moment, Track


def predict(
    paths: Annotated[list[str], Argument(
        metavar="PATH...",
        help="Pictures, clips, folders (with subfolders), globs, or - for standard input.",
    )],
    *,
    form: options.Format = "table",
    output: options.OutputFile = None,
    annotate: Annotated[Path | None, Option(
        "--annotate", "-a", help="Folder for copies with boxes and labels drawn in.",
    )] = None,
    png: Annotated[
        bool, Option("--png", help="Write annotated pictures as PNG, whatever the input format.")
    ] = False,
    chips: options.Chips = False,
    over: Annotated[list[int] | None, Option(
        min=1, max=116, help="Also give the probability of this age or more (repeatable)."
    )] = None,
    fps: Annotated[float, Option(min=0.01, help="Clips: frames to analyse per second.")] = 5.0,
    every: Annotated[int | None, Option(
        min=1, help="Clips: analyse every N-th frame instead.",
    )] = None,
    per_frame: options.PerFrame = False,
    min_views: options.MinViews = 3,
    settings: options.PredictorOptions,
) -> None:  # fmt: skip
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
    from agelens.images.sources import find
    from agelens.output.tables import replacing

    writer = options.writer_of(form)
    # Only paths so far: wrong ones end the run before the model is loaded.
    sources = _readable(list(find(paths, clips=not chips)), paths)
    files = {source.data.resolve() for source in sources if isinstance(source.data, Path)}
    if output is not None and output.resolve() in files:
        raise SourceError(f"--output {str(output)!r} is one of the inputs: choose another name")
    predictor = settings.load()
    folder = None if annotate is None else _AnnotatedFolder(annotate, files, png)

    def predicted() -> "Iterator[tuple[str, AgelensError | None]]":
        for are_clips, group in groupby(sources, lambda source: source.clip):
            if are_clips:
                for source in group:
                    people = People(out, source.name, per_frame, min_views)
                    try:
                        _predict_clip(predictor, people, progress, folder, fps, every)
                        yield source.name, None
                    except AgelensError as error:
                        out.add(source.name, [], str(error))
                        yield source.name, error
                continue
            keep = folder is not None
            for one in predictor.predict_stream(group, chips=chips, keep_pictures=keep):
                out.add(one.name, one.predictions, str(one.error) if one.error else None)
                if folder is not None and one.picture is not None:
                    folder.write(one.name, one.picture, one.predictions)
                yield one.name, one.error

    failed = False
    with nullcontext(sys.stdout) if output is None else replacing(output) as stream:
        out = writer(stream, tuple(dict.fromkeys(over or ())), any(one.clip for one in sources))
        with console.bar() as progress:
            progress.disable = progress.disable or (len(sources) < 2 and not sources[0].clip)
            task = progress.add_task("predicting", total=len(sources))
            for name, error in predicted():
                if error is not None:
                    failed = True
                    console.fail(f"{name}: {error}")
                progress.advance(task)
        out.close()
    if failed:
        raise typer.Exit(1)


def _readable(sources: "list[Source]", paths: list[str]) -> "list[Source]":
    """Without PyAV, skip the clips found in folders, and refuse those named on the command line."""
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


class _AnnotatedFolder:
    """Writes annotated pictures under the names of their inputs, never over an input."""

    def __init__(self, folder: Path, inputs: set[Path], png: bool) -> None:
        self._folder = folder
        self._taken = set(inputs)
        self._png = png
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(
                f"cannot write to {str(folder)!r}: {error.strerror or error}; "
                "expected a folder for --annotate"
            ) from error

    def write(self, name: str, picture: "Picture", predictions: "list[Prediction]") -> None:
        from PIL import Image

        from agelens.output.drawing import annotate
        from agelens.output.tables import replacing

        given = Path("standard-input.png" if name == "-" else name)
        forms = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".png": "PNG"}
        form = None if self._png else forms.get(given.suffix.lower())
        with replacing(self.free(given, given.suffix if form else ".png"), "wb") as stream:
            marked = Image.fromarray(annotate(picture, predictions))
            marked.save(stream, form or "PNG", quality=92)  # PNG has no quality, and ignores it

    def free(self, name: str | Path, ending: str) -> Path:
        """Reserve a file name; a second file of that name, or an input, gets a number."""
        numbers = chain([""], (f"-{number}" for number in count(2)))
        targets = (self._folder / f"{Path(name).stem}{number}{ending}" for number in numbers)
        target = next(one for one in targets if one.resolve() not in self._taken)
        self._taken.add(target.resolve())
        return target


@dataclass
class People:
    """Collects the people of a clip or a camera, and writes them."""

    out: "Writer"
    name: str
    per_frame: bool
    min_views: int
    frames: int = 0
    tracks: "dict[int, Track]" = field(default_factory=dict)

    def add(self, moment: "Moment") -> None:
        """Take a frame; write its predictions if asked to."""
        self.frames += 1
        self.tracks |= {track.number: track for track in moment.tracks}
        if self.per_frame:
            about = {"frame": moment.frame, "time": round(moment.time, 3)}
            each = [{"person": track.number} for track in moment.tracks]
            self.out.add(self.name, moment.views, about=about, each=each)
            self.out.stream.flush()

    def write(self, seconds: float) -> "list[Track]":
        """Write one row for each person; return those that were seen in enough frames."""
        least = min(self.min_views, self.frames)
        shown = [track for track in self.tracks.values() if track.views >= least]
        if missing := len(self.tracks) - len(shown):
            console.note(
                f"{self.name}: left out {missing} seen in fewer than {least} frames; "
                "--min-views 1 keeps them"
            )
        about = {"seconds": round(seconds, 3), "frames": self.frames}
        each = [track.span() for track in shown]
        self.out.add(self.name, [track.prediction for track in shown], about=about, each=each)
        return shown


def _predict_clip(
    predictor: "Predictor", people: People, progress: "Progress",
    folder: _AnnotatedFolder | None, fps: float, every: int | None,
) -> None:  # fmt: skip
    from agelens.output.tables import replacing
    from agelens.video.reader import Clip
    from agelens.video.writer import Trail, annotate_clip

    name, clip = people.name, Clip(people.name)
    length = None if clip.seconds is None else round(clip.seconds, 1)
    trails: dict[int, Trail] = {}
    task = progress.add_task(f"{Path(name).name}, seconds", total=length)
    for moment in predictor.follow(clip, fps=fps, every=every):
        people.add(moment)
        for track in moment.tracks:
            trail = trails.setdefault(track.number, Trail(track.number, track.prediction))
            trail.prediction = track.prediction
            if track.prediction.box is not None:
                trail.times.append(moment.time)
                trail.boxes.append(track.prediction.box)
        progress.update(task, completed=round(moment.time, 1))
    progress.remove_task(task)
    if clip.damage is not None:
        console.warn(f"{name}: {clip.damage}")
    visible = [trails[track.number] for track in people.write(clip.end)]
    if folder is None:
        return
    interval = every / clip.rate if every else 1 / fps
    step = max(interval, 1 / clip.rate)  # seconds between two sampled frames
    target = folder.free(name, ".mp4")
    task = progress.add_task(f"writing {target.name}, seconds", total=length)
    with Clip(name) as clip, replacing(target, "wb") as stream:
        annotate_clip(
            clip, stream, visible, reach=step / 2, gap=max(1.0, 2 * step),
            on_frame=lambda time: progress.update(task, completed=round(time, 1)),
        )  # fmt: skip
    progress.remove_task(task)
