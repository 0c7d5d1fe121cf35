"""Track the people of a clip or a live source: frames -> moments with one fused answer a person.

`follow` predicts every sampled frame, however long that takes; `watch` drops frames rather than
lag behind a camera. Both keep one frame at a time, so a clip may be of any length.
"""

from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agelens.errors import AgelensError, ConfigError
from agelens.images.decode import Picture
from agelens.images.sources import Source
from agelens.results import Prediction, Reason, Status
from agelens.video.camera import NewestFrames, open_live
from agelens.video.fusion import OpinionPool
from agelens.video.reader import Clip, Frame, sample
from agelens.video.tracker import Detection, Tracker, appearance

FPS = 5.0  # frames per second that are sampled by default
MIN_VIEWS = 3  # views from which a track counts as a person: fewer may be a false detection
POOR_WEIGHT, MIN_WEIGHT = 0.25, 0.05  # in the fusion: of a poorly visible view, and of any view
_UNCLEAR = (Reason.AGE_UNCLEAR, Reason.GENDER_UNCLEAR)  # about the answer, not the view


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person over the frames so far."""

    number: int  # 1, 2, ... in order of appearance
    first_frame: int
    last_frame: int
    first_time: float  # seconds from the first frame
    last_time: float
    views: int  # frames that the prediction is fused from
    prediction: Prediction  # of all views; box and landmarks are those of the last

    def span(self) -> dict[str, Any]:
        """Return number, views and time span as plain values: seconds to 0.001."""
        frames = {"first_frame": self.first_frame, "last_frame": self.last_frame}
        times = {"first_time": round(self.first_time, 3), "last_time": round(self.last_time, 3)}
        return {"person": self.number, "views": self.views, **frames, **times}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: `span`, then those of the prediction."""
        return self.span() | self.prediction.to_dict()

    def __str__(self) -> str:
        """Return a short description: "woman, 34 (28-41), 2.4-7.0 s"."""
        return f"{self.prediction}, {self.first_time:.1f}-{self.last_time:.1f} s"


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame: the people on it, and the predictions of this frame alone."""

    frame: int  # 0, 1, ...: of the clip or the camera
    time: float  # seconds from the first frame
    picture: Picture  # the upright pixels that the boxes refer to
    tracks: list[Track]  # of the people on this frame, by number, as of now
    views: list[Prediction]  # of this frame alone, in the same order


class FrameAnswer(Protocol):
    """The predictions of one frame, as `agelens.predictor.Answer`."""

    @property
    def predictions(self) -> list[Prediction]: ...  # noqa: D102

    @property
    def picture(self) -> Picture | None: ...  # noqa: D102

    @property
    def error(self) -> AgelensError | None: ...  # noqa: D102


class FramePredictor(Protocol):
    """What tracking needs of `agelens.predictor.Predictor`."""

    def predict_stream(
        self, sources: Iterable[Source], *, keep_pictures: bool
    ) -> Iterator[FrameAnswer]:
        """Predict pictures one after another."""

    def from_distribution(
        self, age_probabilities: NDArray[np.float64], age_years: float, female_probability: float
    ) -> Prediction:
        """Return the prediction of a fused distribution."""


@dataclass(slots=True)
class _Person:
    first: Frame
    pool: OpinionPool = field(default_factory=OpinionPool)
    issues: Counter[Reason] = field(default_factory=Counter)  # views that have each


class TrackingPipeline:
    """Takes the predictions of one frame after another, and fuses them by person."""

    def __init__(self, predictor: FramePredictor, gap: float = 1.0) -> None:
        """Start without tracks, which end unseen for `gap` seconds. Raises ConfigError below 0."""
        if not gap >= 0:
            raise ConfigError(f"gap {gap!r}: expected seconds, 0 or more")
        self._predictor = predictor
        self._tracker = Tracker(gap)
        self._people: dict[int, _Person] = {}

    def add(self, frame: Frame, picture: Picture, views: list[Prediction]) -> Moment:
        """Add the next frame with its pixels and predictions; those without a box are ignored."""
        visible = [
            (view, Detection.of(picture, view.box, view.landmarks))
            for view in views
            if view.box is not None and view.landmarks is not None
        ]
        faces = [face for _, face in visible]
        numbers = self._tracker.update(frame.time, faces, appearance(picture, 32, 18))
        for gone in self._people.keys() - self._tracker.alive():
            del self._people[gone]
        by_number = sorted(zip(numbers, visible, strict=True), key=itemgetter(0))
        found = {number: view for number, (view, _) in by_number}
        tracks = [self._fuse(number, frame, view) for number, view in found.items()]
        return Moment(frame.index, frame.time, picture, tracks, list(found.values()))

    def _fuse(self, number: int, frame: Frame, view: Prediction) -> Track:
        person = self._people.setdefault(number, _Person(replace(frame, image=None)))
        weight = max(MIN_WEIGHT, 1 - view.error_probability)
        weight *= POOR_WEIGHT if view.status is Status.POOR else 1
        person.pool.add(view.age_probabilities, view.age, view.female_probability, weight)
        person.issues.update(reason for reason in view.reasons if reason not in _UNCLEAR)
        fused, count = person.pool.fused(), person.pool.views
        prediction = self._predictor.from_distribution(
            fused.age_probabilities, fused.age_years, fused.female_probability
        )
        usual = tuple(reason for reason, views in person.issues.items() if 2 * views > count)
        prediction = replace(
            prediction, box=view.box, landmarks=view.landmarks, reasons=usual + prediction.reasons,
            detection_score=view.detection_score,
            status=Status.POOR if usual else prediction.status,
        )  # fmt: skip
        first = person.first
        return Track(number, first.index, frame.index, first.time, frame.time, count, prediction)


def follow(
    predictor: FramePredictor, clip: str | Path | Clip, *,
    fps: float | None = FPS, every: int | None = None, gap: float = 1.0,
) -> Generator[Moment, None, None]:  # fmt: skip
    """Track the people of a clip; see `Predictor.follow`."""
    if fps is not None and not fps > 0:
        raise ConfigError(f"fps {fps!r}: expected more than 0, or None for every frame")
    if every is not None and every < 1:
        raise ConfigError(f"every {every!r}: expected 1 or more")
    pipeline = TrackingPipeline(predictor, gap)
    opened = clip if isinstance(clip, Clip) else Clip(clip)
    pending: deque[Frame] = deque()

    def pictures() -> Iterator[Source]:
        for frame in sample(opened, fps, every):
            pending.append(replace(frame, image=None))
            yield Source(str(frame.index), frame.picture())

    def moments() -> Generator[Moment, None, None]:
        with opened:
            for answer in predictor.predict_stream(pictures(), keep_pictures=True):
                frame = pending.popleft()
                if answer.picture is not None:
                    yield pipeline.add(frame, answer.picture, answer.predictions)

    return moments()


def watch(
    predictor: FramePredictor, source: int | str | Path = 0, *,
    gap: float = 1.0, timeout: float = 10.0, until: Event | None = None,
) -> Generator[Moment, None, None]:  # fmt: skip
    """Track the people in front of a camera; see `Predictor.watch`."""
    pipeline = TrackingPipeline(predictor, gap)
    newest = NewestFrames(open_live(source, timeout), until)

    def moments() -> Generator[Moment, None, None]:
        with newest:
            for frame in newest:
                sources = [Source("camera", picture := frame.picture())]
                (answer,) = predictor.predict_stream(sources, keep_pictures=True)
                if answer.error is not None:
                    raise answer.error
                yield pipeline.add(frame, picture, answer.predictions)

    return moments()


def people(moments: Iterable[Moment], least_views: int = MIN_VIEWS) -> list[Track]:
    """Return the final track of each person, by number.

    People seen in fewer than `least_views` frames are left out, unless there were no more frames.
    """
    last: dict[int, Track] = {}
    count = 0
    for moment in moments:
        count += 1
        last |= {track.number: track for track in moment.tracks}
    return [t for _, t in sorted(last.items()) if t.views >= min(least_views, count)]
