"""Clips of `agelens predict`: one row per person and, if asked for, one per face of each frame."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agelens.cli import console

if TYPE_CHECKING:
    from rich.progress import Progress

    from agelens.errors import AgelensError
    from agelens.images.sources import Source
    from agelens.output.tables import Writer
    from agelens.predictor import Predictor
    from agelens.video.annotator import Trail
    from agelens.video.reader import Clip
    from agelens.video.tracks import Moment, Track

TargetOf = Callable[[str, str], Path]
"""Returns the file of an annotated copy, for the name of an input and an ending."""


class ClipOptions(NamedTuple):
    """How clips are sampled and written."""

    fps: float
    every: int | None
    per_frame: bool
    min_views: int


def predict_clips(
    predictor: "Predictor", sources: "Iterable[Source]", out: "Writer", options: ClipOptions,
    target_of: TargetOf | None, progress: "Progress",
) -> "Iterator[tuple[str, AgelensError | None]]":  # fmt: skip
    """Predict and write clips; yield the name of each, with its error if it failed.

    With `target_of` annotated copies are written too.
    """
    from agelens.errors import AgelensError

    for source in sources:
        try:
            _predict(predictor, source.name, out, options, target_of, progress)
        except AgelensError as error:
            out.add(source.name, [], str(error))
            yield source.name, error
        else:
            yield source.name, None


def _predict(
    predictor: "Predictor", name: str, out: "Writer", options: ClipOptions,
    target_of: TargetOf | None, progress: "Progress",
) -> None:  # fmt: skip
    from agelens.video.annotator import Trail
    from agelens.video.reader import Clip

    clip = Clip(name)
    task = progress.add_task(f"{Path(name).name}, seconds", total=_length(clip))
    people: dict[int, Track] = {}
    trails: dict[int, Trail] = {}
    frames = 0
    for moment in predictor.follow(clip, fps=options.fps, every=options.every):
        frames += 1
        for track in moment.tracks:
            people[track.number] = track
            trail = trails.setdefault(track.number, Trail(track.number, track.prediction))
            trail.prediction = track.prediction
            if track.prediction.box is not None:
                trail.times.append(moment.time)
                trail.boxes.append(track.prediction.box)
        if options.per_frame:
            write_frame(out, name, moment)
        progress.update(task, completed=round(moment.time, 1))
    progress.remove_task(task)
    if clip.damage is not None:
        console.warn(f"{name}: {clip.damage}")
    shown = write_people(out, name, list(people.values()), frames, clip.end, options.min_views)
    if target_of is not None:
        interval = 1 / options.fps if options.every is None else options.every / clip.rate
        step = max(interval, 1 / clip.rate)  # seconds between two sampled frames
        _annotate(name, [trails[track.number] for track in shown], step, target_of, progress)


def write_frame(out: "Writer", name: str, moment: "Moment") -> None:
    """Write the predictions of one frame alone."""
    out.add(
        name, moment.views,
        about={"frame": moment.frame, "time": round(moment.time, 3)},
        each=[{"person": track.number} for track in moment.tracks],
    )  # fmt: skip


def write_people(
    out: "Writer", name: str, tracks: "list[Track]", frames: int, seconds: float, min_views: int
) -> "list[Track]":
    """Write one row for each person; return those that were seen in enough frames."""
    least = min(min_views, frames)
    shown = [track for track in tracks if track.views >= least]
    if len(shown) < len(tracks):
        console.note(
            f"{name}: left out {len(tracks) - len(shown)} seen in fewer than {least} frames; "
            "--min-views 1 keeps them"
        )
    out.add(
        name, [track.prediction for track in shown],
        about={"seconds": round(seconds, 3), "frames": frames},
        each=[track.span() for track in shown],
    )  # fmt: skip
    return shown


def _annotate(
    name: str, trails: "list[Trail]", step: float, target_of: TargetOf, progress: "Progress"
) -> None:
    from agelens.output.tables import replacing
    from agelens.video.annotator import annotate_clip
    from agelens.video.reader import Clip

    target = target_of(name, ".mp4")
    with Clip(name) as clip, replacing(target, "wb") as stream:
        task = progress.add_task(f"writing {target.name}, seconds", total=_length(clip))
        annotate_clip(
            clip, stream, trails, reach=step / 2, gap=max(1.0, 2 * step),
            on_frame=lambda time: progress.update(task, completed=round(time, 1)),
        )  # fmt: skip
    progress.remove_task(task)


def _length(clip: "Clip") -> float | None:
    return None if clip.seconds is None else round(clip.seconds, 1)
