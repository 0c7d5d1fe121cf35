"""Clips of `agelens predict`: one row for each person, and where asked for one for each frame."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
"""Gives the file to write an annotated copy to, for the name of an input and an ending."""


@dataclass(frozen=True, slots=True)
class Looking:
    """How clips are to be looked at."""

    fps: float
    every: int | None
    per_frame: bool
    least_views: int


@dataclass(slots=True)
class _Person:
    track: "Track"
    trail: "Trail"


def predict_clips(
    predictor: "Predictor", sources: "Iterable[Source]", out: "Writer", looking: Looking,
    target_of: TargetOf | None, progress: "Progress",
) -> "Iterator[tuple[str, AgelensError | None]]":  # fmt: skip
    """Predict and write clips; give the name of each once it is done, and what failed.

    With `target_of` annotated copies are written too.
    """
    from agelens.errors import AgelensError

    for source in sources:
        try:
            _predict(predictor, source.name, out, looking, target_of, progress)
        except AgelensError as error:
            out.add(source.name, [], str(error))
            yield source.name, error
        else:
            yield source.name, None


def _predict(
    predictor: "Predictor", name: str, out: "Writer", looking: Looking,
    target_of: TargetOf | None, progress: "Progress",
) -> None:  # fmt: skip
    from agelens.video.reader import Clip

    clip = Clip(name)
    whole = None if clip.seconds is None else round(clip.seconds, 1)
    task = progress.add_task(f"{Path(name).name}, seconds", total=whole)
    people: dict[int, _Person] = {}
    looked_at = 0
    for moment in predictor.follow(clip, fps=looking.fps, every=looking.every):
        looked_at += 1
        _note(people, moment)
        if looking.per_frame:
            out.add(
                name, moment.views,
                about={"frame": moment.frame, "time": round(moment.time, 3)},
                each=[{"person": track.number} for track in moment.tracks],
            )  # fmt: skip
        progress.update(task, completed=round(moment.time, 1))
    progress.remove_task(task)
    if clip.damage is not None:
        console.warn(f"{name}: {clip.damage}")

    shown = write_people(
        out, name, [one.track for one in people.values()], looked_at, clip.end, looking.least_views
    )
    if target_of is not None:
        trails = [people[track.number].trail for track in shown]
        _mark(name, trails, _step(clip, looking), target_of, progress)


def write_people(
    out: "Writer", name: str, tracks: "list[Track]", frames: int, seconds: float, least_views: int
) -> "list[Track]":
    """Write one row for each person of some frames; give those that were seen often enough."""
    least = min(least_views, frames)
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


def _note(people: dict[int, _Person], moment: "Moment") -> None:
    from agelens.video.annotator import Trail

    for track in moment.tracks:
        one = people.setdefault(track.number, _Person(track, Trail(track.number, track.prediction)))
        one.track = track
        one.trail.prediction = track.prediction
        if track.prediction.box is not None:
            one.trail.times.append(moment.time)
            one.trail.boxes.append(track.prediction.box)


def _step(clip: "Clip", looking: Looking) -> float:
    """Give the seconds between two frames that were looked at."""
    return max(1 / looking.fps if looking.every is None else looking.every / clip.rate,
               1 / clip.rate)  # fmt: skip


def _mark(
    name: str, trails: "list[Trail]", step: float, target_of: TargetOf, progress: "Progress"
) -> None:
    from agelens.output.tables import replacing
    from agelens.video.annotator import mark
    from agelens.video.reader import Clip

    target = target_of(name, ".mp4")
    with Clip(name) as clip, replacing(target, "wb") as stream:
        whole = None if clip.seconds is None else round(clip.seconds, 1)
        task = progress.add_task(f"writing {target.name}, seconds", total=whole)
        mark(
            clip, stream, trails, reach=step / 2, gap=max(1.0, 2 * step),
            tell=lambda time: progress.update(task, completed=round(time, 1)),
        )  # fmt: skip
    progress.remove_task(task)
