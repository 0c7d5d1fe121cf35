"""Pictures -> Predictions: find faces, align them, ask the model, batched across pictures."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from agelens.errors import AgelensError
from agelens.faces.pipeline import Finder, Found
from agelens.images import decode, inputs
from agelens.images.inputs import Input
from agelens.images.sources import Source
from agelens.inference.model import BATCH, Answerer
from agelens.inference.runtime import Model, Output
from agelens.results import Prediction
from agelens.stopwatch import Stopwatch
from agelens.video import pipeline as following
from agelens.video.reader import Clip
from agelens.video.tracks import Moment

__all__ = ["BATCH", "WAITING_PIXELS", "Answer", "Input", "Predictor", "load"]

WAITING_PIXELS = 32_000_000
"""Pixels of pictures kept back while a batch fills (96 MB)."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came of one input of a stream."""

    name: str
    predictions: list[Prediction]  # largest face first; empty where there is none
    error: AgelensError | None  # set where the input could not be read
    picture: decode.Picture | None  # where asked for: the upright pixels the boxes refer to
    width: int  # pixels of the upright picture; 0 where it could not be read
    height: int


def load(
    name: str | Path | None = None,
    threads: int | None = None,
    *,
    flip: bool | None = None,
    longest: int = 1280,
    gender_threshold: float = 0.5,
    min_face: float = 0,
    max_faces: int | None = None,
) -> "Predictor":
    """Load a model by shipped name, or by path; None is the default model.

    `threads` limits the processor threads (None: all cores; the limit also holds for
    OpenCV elsewhere in the process). `flip` averages each face with its mirror image
    (None: as the model's card says). `longest` is the long side in pixels at which
    larger pictures are searched for faces: raise it for crowds.

    A gender is given only where its probability reaches `gender_threshold` (0.5 to 1), else
    it is None. Faces narrower or lower than `min_face` pixels are passed over, and of the
    rest only the `max_faces` largest are answered.

    Raises ModelError for an unknown or unreadable model, ConfigError for a setting out of
    range.
    """
    return Predictor(
        Model(name, threads),
        threads=threads,
        flip=flip,
        longest=longest,
        gender_threshold=gender_threshold,
        min_face=min_face,
        max_faces=max_faces,
    )


class Predictor:
    """Predicts age and gender of every face.

    Safe to call from several threads and in forked processes. It is pickled as its settings and
    the name or path of its model, which is loaded anew where it is unpickled.
    """

    def __init__(
        self,
        model: Model,
        *,
        threads: int | None = None,
        flip: bool | None = None,
        longest: int = 1280,
        gender_threshold: float = 0.5,
        min_face: float = 0,
        max_faces: int | None = None,
    ) -> None:
        """Join a model with the face detector; see `load` for the settings."""
        # Seconds in each stage so far.
        self.seconds = Stopwatch(("decode", "detect", "align", "predict"))
        self._answerer = Answerer(model, flip=flip, gender_threshold=gender_threshold)
        self._finder = Finder(
            self.seconds, longest=longest, min_face=min_face, max_faces=max_faces, threads=threads
        )
        self.model = model
        self.threads = threads
        self.card = model.card
        self.flip = self._answerer.flip
        self.longest = longest
        self.gender_threshold = gender_threshold
        self.min_face = min_face
        self.max_faces = max_faces

    def __reduce__(self) -> tuple[Callable[..., "Predictor"], tuple[Model, dict[str, Any]]]:
        return _restore, (
            self.model,
            {
                "threads": self.threads,
                "flip": self.flip,
                "longest": self.longest,
                "gender_threshold": self.gender_threshold,
                "min_face": self.min_face,
                "max_faces": self.max_faces,
            },
        )

    @overload  # str and bytes are iterables too, but they are one picture
    def predict(  # type: ignore[overload-overlap]
        self, pictures: Input, *, chips: bool = ...
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, pictures: Iterable[Input], *, chips: bool = ...
    ) -> list[list[Prediction]]: ...
    def predict(
        self, pictures: Input | Iterable[Input], *, chips: bool = False
    ) -> list[Prediction] | list[list[Prediction]]:
        """Predict one picture, or several at once.

        One picture (path, bytes, uint8 RGB (H, W, 3) or grey (H, W), PIL image) gives a
        list of predictions, largest face first, empty where there is no face. A list,
        another iterable, or one uint8 array (B, H, W, 3) gives a list of such lists, and
        faces of different pictures share the model's batches. With `chips` each input is
        an aligned square chip of any size and gives a list of one.

        Raises BadPicture, PictureTooLarge or SourceError for the first input that
        cannot be used (with its place in the list).
        """
        if inputs.is_one(pictures):
            one = self._finder.find("picture", pictures, chips=chips, keep=False)
            if one.error is not None:
                raise one.error
            return self._answer([one])[0].predictions
        answers = []
        for place, answer in enumerate(self._stream(_number(pictures), chips, False)):
            if answer.error is not None:
                raise type(answer.error)(f"picture {place}: {answer.error}") from answer.error
            answers.append(answer.predictions)
        return answers

    @overload
    async def apredict(  # type: ignore[overload-overlap]
        self, pictures: Input, *, chips: bool = ...
    ) -> list[Prediction]: ...
    @overload
    async def apredict(
        self, pictures: Iterable[Input], *, chips: bool = ...
    ) -> list[list[Prediction]]: ...
    async def apredict(
        self, pictures: Input | Iterable[Input], *, chips: bool = False
    ) -> list[Prediction] | list[list[Prediction]]:
        """Do as `predict` does, in a thread, so that the event loop goes on meanwhile.

        Of a call that is cancelled nothing is heard, but its thread ends what it has begun.
        """
        import asyncio

        return await asyncio.to_thread(self.predict, pictures, chips=chips)

    def predict_stream(
        self, sources: Iterable[Source], *, chips: bool = False, keep_pictures: bool = False
    ) -> Iterator[Answer]:
        """Predict any number of pictures in bounded memory, in order.

        An input that cannot be used gives an Answer with its error, and the others are
        still answered. With `keep_pictures` answers carry the upright pixels.
        """
        return self._stream(((s.name, s.data) for s in sources), chips, keep_pictures)

    def follow(
        self,
        clip: str | Path | Clip,
        *,
        fps: float | None = following.FPS,
        every: int | None = None,
        gap: float = 1.0,
    ) -> Generator[Moment, None, None]:
        """Follow the people of a clip: one moment for each frame that is looked at.

        `fps` frames a second are, by their times (None: all); with `every` each so-manieth
        instead. Who is unseen for `gap` seconds is gone, and a new person when back; nobody is
        recognised. `agelens.people` of the moments gives each person once. The clip is
        read as the moments are asked for, and may be of any length.

        Raises MissingExtra without PyAV, SourceError for a file that is not there, BadClip for
        one that is no clip, ConfigError for a setting out of range.
        """
        return following.follow(self, clip, fps=fps, every=every, gap=gap)

    def watch(
        self,
        source: int | str | Path = 0,
        *,
        gap: float = 1.0,
        timeout: float = 10.0,
        until: Event | None = None,
    ) -> Generator[Moment, None, None]:
        """Follow the people before a camera, live: each moment is of the newest frame.

        `source` is the number of a camera, the address of a stream (http, https, rtsp) or a
        file, which is played at its own pace. Frames that come while one is worked on are let
        go. A stream may keep us waiting for `timeout` seconds. Closing the iterator, or leaving
        it, lets go of the camera; an event `until`, set from elsewhere, ends it within a moment,
        also while no frame comes.

        Raises SourceError where the camera or stream cannot be opened or breaks off, else as
        `follow`.
        """
        return following.watch(self, source, gap=gap, timeout=timeout, until=until)

    def settle(self, ages: NDArray[np.floating], age: float, female: float) -> Prediction:
        """Make the prediction of a joint distribution (117,), for a face of no single picture.

        `age`, in years, counts where the model estimates ages by itself; else it is the median.
        """
        joint = Output(
            np.asarray(ages, np.float32)[None],
            np.array([age], np.float32),
            np.array([female], np.float32),
        )
        (one,) = self._answerer.predictions(joint, None)
        return one

    def _stream(
        self, named: Iterable[tuple[str, Any]], chips: bool, keep: bool
    ) -> Iterator[Answer]:
        waiting: list[Found] = []
        for found in self._finder.find_ahead(named, chips=chips, keep=keep):
            waiting.append(found)
            faces = sum(len(one.chips) for one in waiting)
            pixels = sum(one.width * one.height for one in waiting if one.picture is not None)
            if faces >= BATCH or len(waiting) >= 2 * BATCH or pixels > WAITING_PIXELS:
                yield from self._answer(waiting)
                waiting = []
        yield from self._answer(waiting)

    def _answer(self, waiting: list[Found]) -> list[Answer]:
        """Ask the model about all chips that wait, and hand each picture its answers."""
        if not waiting:
            return []
        with self.seconds.timed("predict"):
            said = self._answerer.ask(np.concatenate([one.chips for one in waiting]))
        answers, start = [], 0
        for one in waiting:
            part = slice(start, start + len(one.chips))
            start = part.stop
            own = Output(
                said.age_probabilities[part], said.age_years[part], said.female_probability[part]
            )
            predictions = self._answerer.predictions(own, one.faces, one.poor)
            answers.append(
                Answer(one.name, predictions, one.error, one.picture, one.width, one.height)
            )
        return answers


def _restore(model: Model, settings: dict[str, Any]) -> Predictor:
    return Predictor(model, **settings)


def _number(pictures: Any) -> Iterator[tuple[str, Any]]:
    return ((str(place), picture) for place, picture in enumerate(pictures))
