"""Frames -> moments: the faces of each frame, whose they are, and what all views of each say.

`follow` takes every frame that it is to take, however long that takes; `watch` lets frames go by
rather than lag behind a camera. Both hold one frame at a time, so a clip may be of any length.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agelens.errors import AgelensError, ConfigError
from agelens.images.decode import Picture
from agelens.images.sources import Source
from agelens.results import Prediction, Reason, Status
from agelens.video.camera import Newest, live
from agelens.video.fusion import Pool
from agelens.video.reader import Clip, Frame, sample
from agelens.video.tracker import Spot, Tracker, look
from agelens.video.tracks import Moment, Track

FPS = 5.0
"""Frames a second that are looked at unless more are asked for: people age slowly."""
LEAST_VIEWS = 3
"""Views from which a track counts as a person: fewer may be a flicker of the detector."""
_POOR, _LEAST = 0.25, 0.05  # how much a poorly seen view weighs, and the least that one does
_UNCLEAR = (Reason.AGE_UNCLEAR, Reason.GENDER_UNCLEAR)  # of the answer; the others of the view


class Answered(Protocol):
    """What comes of a picture; `agelens.predictor.Answer` is one."""

    @property
    def predictions(self) -> list[Prediction]:
        """The faces."""

    @property
    def picture(self) -> Picture | None:
        """The pixels."""

    @property
    def error(self) -> AgelensError | None:
        """Why there are none."""


class Predicts(Protocol):
    """What is asked of a predictor; `agelens.predictor.Predictor` is one."""

    def predict_stream(
        self, sources: Iterable[Source], *, keep_pictures: bool
    ) -> Iterator[Answered]:
        """Predict pictures one after another."""

    def from_distribution(
        self, age_probabilities: NDArray[np.float64], age_years: float, female_probability: float
    ) -> Prediction:
        """Make the prediction of a distribution that was joined from several."""


@dataclass(slots=True)
class _Life:
    frame: int
    time: float
    pool: Pool = field(default_factory=Pool)
    reasons: Counter[Reason] = field(default_factory=Counter)


class Follower:
    """Takes the answers of one frame after another and joins them by person."""

    def __init__(self, predictor: Predicts, gap: float = 1.0) -> None:
        """Follow faces; one unseen for more than `gap` seconds is gone, and new when it is back.

        Raises ConfigError for a gap that is negative.
        """
        if not gap >= 0:
            raise ConfigError(f"gap {gap!r}: expected seconds, 0 or more")
        self._predictor = predictor
        self._tracker = Tracker(gap)
        self._lives: dict[int, _Life] = {}

    def add(self, frame: Frame, picture: Picture, views: list[Prediction]) -> Moment:
        """Take the next frame with its pixels and its predictions (those of chips are left out)."""
        placed = [
            (one, Spot.of(picture, one.box, one.landmarks))
            for one in views
            if one.box is not None and one.landmarks is not None
        ]
        numbers = self._tracker.update(
            frame.time, [spot for _, spot in placed], look(picture, 32, 18)
        )
        for gone in self._lives.keys() - self._tracker.alive():
            del self._lives[gone]
        tracks = [
            self._join(number, frame, one) for number, (one, _) in zip(numbers, placed, strict=True)
        ]
        order = sorted(range(len(tracks)), key=lambda i: tracks[i].number)
        return Moment(
            frame.index,
            frame.time,
            picture,
            [tracks[i] for i in order],
            [placed[i][0] for i in order],
        )

    def _join(self, number: int, frame: Frame, one: Prediction) -> Track:
        life = self._lives.setdefault(number, _Life(frame.index, frame.time))
        weight = max(_LEAST, 1 - one.error_probability) * (
            _POOR if one.status is Status.POOR else 1
        )
        life.pool.add(one.age_probabilities, one.age, one.female_probability, weight)
        life.reasons.update(reason for reason in one.reasons if reason not in _UNCLEAR)
        joint = life.pool.joint()
        fused = self._predictor.from_distribution(
            joint.age_probabilities, joint.age, joint.female_probability
        )
        badly = tuple(r for r, count in life.reasons.items() if 2 * count > life.pool.views)
        return Track(
            number, life.frame, frame.index, life.time, frame.time, life.pool.views,
            replace(
                fused,
                box=one.box,
                landmarks=one.landmarks,
                detection_score=one.detection_score,
                status=Status.POOR if badly else fused.status,
                reasons=badly + fused.reasons,
            ),
        )  # fmt: skip


def follow(
    predictor: Predicts,
    clip: str | Path | Clip,
    *,
    fps: float | None = FPS,
    every: int | None = None,
    gap: float = 1.0,
) -> Generator[Moment, None, None]:
    """Follow the people of a clip; see `Predictor.follow`."""
    if fps is not None and not fps > 0:
        raise ConfigError(f"fps {fps!r}: expected more than 0, or None for every frame")
    if every is not None and every < 1:
        raise ConfigError(f"every {every!r}: expected 1 or more")
    follower = Follower(predictor, gap)
    opened = clip if isinstance(clip, Clip) else Clip(clip)
    return _followed(predictor, follower, opened, sample(opened, fps, every))


def _followed(
    predictor: Predicts, follower: Follower, clip: Clip, frames: Iterable[Frame]
) -> Generator[Moment, None, None]:
    waiting: list[Frame] = []

    def pictures() -> Iterator[Source]:
        for frame in frames:
            waiting.append(replace(frame, image=None))
            yield Source(str(frame.index), frame.picture())

    with clip:
        for answer in predictor.predict_stream(pictures(), keep_pictures=True):
            frame = waiting.pop(0)
            if answer.picture is not None:
                yield follower.add(frame, answer.picture, answer.predictions)


def watch(
    predictor: Predicts,
    source: int | str | Path = 0,
    *,
    gap: float = 1.0,
    timeout: float = 10.0,
    until: Event | None = None,
) -> Generator[Moment, None, None]:
    """Follow the people before a camera; see `Predictor.watch`."""
    return _watched(predictor, Follower(predictor, gap), Newest(live(source, timeout), until))


def _watched(
    predictor: Predicts, follower: Follower, newest: Newest
) -> Generator[Moment, None, None]:
    with newest:
        for frame in newest:
            picture = frame.picture()
            (answer,) = predictor.predict_stream([Source("camera", picture)], keep_pictures=True)
            if answer.error is not None:
                raise answer.error
            yield follower.add(frame, picture, answer.predictions)


def people(moments: Iterable[Moment], least_views: int = LEAST_VIEWS) -> list[Track]:
    """Give each person of some moments once, as they stood in the end, by number.

    Who was seen in fewer than `least_views` frames is left out, unless there were no more.
    """
    last: dict[int, Track] = {}
    count = 0
    for moment in moments:
        count += 1
        last.update((track.number, track) for track in moment.tracks)
    return [t for _, t in sorted(last.items()) if t.views >= min(least_views, count)]
