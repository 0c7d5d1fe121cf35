"""Predict the age and gender of every face: pictures -> predictions.

The way of a picture: `images.sources` reads it, `faces.pipeline` detects its faces and cuts one
aligned chip per face, `inference.runtime` predicts the chips in batches that faces of several
pictures share, and each picture gets its list of `results.Prediction`.
"""

import asyncio
import warnings
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from agelens.errors import AgelensError
from agelens.faces.pipeline import FacePipeline, PictureFaces, Settings
from agelens.images.decode import Picture
from agelens.images.sources import Input, Source, is_one
from agelens.inference.runtime import BATCH, Model, Output
from agelens.provenance import Stopwatch
from agelens.results import Prediction
from agelens.video import pipeline as video
from agelens.video.pipeline import Moment
from agelens.video.reader import Clip

__all__ = ["BATCH", "PENDING_PIXELS", "Answer", "Input", "Predictor", "load"]

PENDING_PIXELS = 32_000_000  # most pixels of pictures kept while a batch fills (96 MB)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The predictions of one input of a stream, or the error if it could not be used."""

    name: str
    predictions: list[Prediction]  # largest face first; empty if there is none
    error: AgelensError | None  # set if the input could not be read
    picture: Picture | None  # if requested: the upright pixels that the boxes refer to
    width: int  # pixels of the upright picture; 0 if it could not be read
    height: int


def load(
    name: str | Path | None = None,
    threads: int | None = None,
    *,
    flip: bool | None = None,
    detector: str = "yunet",
    longest: int = 1280,
    gender_threshold: float = 0.5,
    min_face: float = 0,
    max_faces: int | None = None,
    keep_doubtful: bool = False,
) -> "Predictor":
    """Load a model by shipped name or by path, and return its predictor.

    `name`: a shipped model, a run folder or an ONNX file; None is the default model.
    `threads`: limit of processor threads; None uses all cores. The limit also holds for OpenCV
    elsewhere in the process.
    `flip`: average each face with its mirror image; None does as the model's card says.
    `detector`: what detects faces, a name in `agelens.faces.pipeline.DETECTORS`.
    `longest`: long side in pixels at which larger pictures are searched for faces; raise it for
    crowds.
    `gender_threshold`: probability, 0.5 to 1, below which the gender is None.
    `min_face`: skip faces narrower or lower than this many pixels.
    `max_faces`: predict only the largest faces of each picture.
    `keep_doubtful`: keep detections that are probably no faces (animals, plants, textures).

    Raises ModelError for an unknown or unreadable model, ConfigError for a setting out of range.
    """
    return Predictor(
        Model(name, threads), threads=threads, flip=flip, detector=detector, longest=longest,
        gender_threshold=gender_threshold, min_face=min_face, max_faces=max_faces,
        keep_doubtful=keep_doubtful,
    )  # fmt: skip


class Predictor:
    """Predicts the age and gender of every face; safe to use from several threads.

    It is pickled as its settings and the name or path of its model, and may be forked.
    """

    threads: int | None
    flip: bool
    detector: str
    longest: int
    gender_threshold: float
    min_face: float
    max_faces: int | None
    keep_doubtful: bool

    def __init__(
        self, model: Model, *, threads: int | None = None, flip: bool | None = None,
        detector: str = "yunet", longest: int = 1280, gender_threshold: float = 0.5,
        min_face: float = 0, max_faces: int | None = None, keep_doubtful: bool = False,
    ) -> None:  # fmt: skip
        """Combine a model with the face detector; `load` describes the settings."""
        self.settings = Settings(
            threads=threads, flip=flip, detector=detector, longest=longest,
            gender_threshold=gender_threshold, min_face=min_face, max_faces=max_faces,
            keep_doubtful=keep_doubtful,
        )  # fmt: skip
        self.seconds = Stopwatch(("decode", "detect", "align", "predict"))  # so far
        self.model = model
        self.card = model.card
        vars(self).update(asdict(self.settings))
        if flip is None:
            self.flip = bool(model.card.get("flip", False))
        self._faces = FacePipeline(self.seconds, self.settings)
        model.interval_levels()  # raises ModelError now rather than at the first picture

    def __reduce__(self) -> tuple["partial[Predictor]", tuple[Model]]:
        return partial(Predictor, **asdict(self.settings)), (self.model,)

    @overload  # str and bytes are iterables too, but they are one picture
    def predict(self, pictures: Input, *, chips: bool = ...) -> list[Prediction]: ...  # type: ignore[overload-overlap]
    @overload
    def predict(
        self, pictures: Iterable[Input], *, chips: bool = ...
    ) -> list[list[Prediction]]: ...
    def predict(
        self, pictures: Input | Iterable[Input], *, chips: bool = False
    ) -> list[Prediction] | list[list[Prediction]]:
        """Predict one picture, or several at once.

        One picture (path, bytes, uint8 RGB (H, W, 3) or grey (H, W), PIL image) gives a list of
        predictions, largest face first, empty if there is no face. A list, another iterable, or
        one uint8 array (B, H, W, 3) gives a list of such lists. With `chips` each input is an
        aligned square chip of any size and gives a list of one.

        Raises BadPicture, PictureTooLarge or SourceError for the first input that cannot be used;
        the message names its place in the list.
        """
        if is_one(pictures):
            source = Source("picture", cast("Any", pictures))
            faces = self._faces.process(source, chips=chips, keep_picture=False)
            if faces.error is not None:
                raise faces.error
            return self._answers([faces])[0].predictions
        several = cast("Iterable[Any]", pictures)
        numbered = (Source(str(place), picture) for place, picture in enumerate(several))
        answers = []
        for answer in self.predict_stream(numbered, chips=chips):
            if answer.error is not None:
                raise type(answer.error)(f"picture {answer.name}: {answer.error}") from answer.error
            answers.append(answer.predictions)
        return answers

    @overload
    async def apredict(self, pictures: Input, *, chips: bool = ...) -> list[Prediction]: ...  # type: ignore[overload-overlap]
    @overload
    async def apredict(
        self, pictures: Iterable[Input], *, chips: bool = ...
    ) -> list[list[Prediction]]: ...
    async def apredict(
        self, pictures: Input | Iterable[Input], *, chips: bool = False
    ) -> list[Prediction] | list[list[Prediction]]:
        """Run `predict` in a thread, so that the event loop stays free.

        Cancelling the call discards its result; the thread still finishes what it has begun.
        """
        return await asyncio.to_thread(self.predict, pictures, chips=chips)

    def predict_stream(
        self, sources: Iterable[Source], *, chips: bool = False, keep_pictures: bool = False
    ) -> Iterator[Answer]:
        """Predict any number of pictures in bounded memory, in order.

        An input that cannot be used gives an Answer with its error. With `keep_pictures` answers
        carry the upright pixels.
        """
        pending: list[PictureFaces] = []
        for one in self._faces.stream(sources, chips=chips, keep_pictures=keep_pictures):
            pending.append(one)  # until a batch is full
            faces = sum(len(each.chips) for each in pending)
            pixels = sum(each.picture.size // 3 for each in pending if each.picture is not None)
            if faces >= BATCH or len(pending) >= 2 * BATCH or pixels > PENDING_PIXELS:
                yield from self._answers(pending)
                pending = []
        if pending:
            yield from self._answers(pending)

    def follow(
        self, clip: str | Path | Clip, *, fps: float | None = video.FPS, every: int | None = None,
        gap: float = 1.0,
    ) -> Generator[Moment, None, None]:  # fmt: skip
        """Track the people of a clip: one moment for each sampled frame.

        `fps` frames per second are sampled (None: all), or with `every` each n-th frame. A person
        unseen for more than `gap` seconds counts as a new person. `agelens.people` of the moments
        gives each person once. The clip is read as the moments are consumed.

        Raises MissingExtra without PyAV, SourceError for a missing file, BadClip for a file that
        is not a video, ConfigError for a setting out of range.
        """
        return video.follow(self, clip, fps=fps, every=every, gap=gap)

    def watch(
        self, source: int | str | Path = 0, *, gap: float = 1.0, timeout: float = 10.0,
        until: Event | None = None,
    ) -> Generator[Moment, None, None]:  # fmt: skip
        """Track the people in front of a camera, live: each moment is of the newest frame.

        `source` is the number of a camera, the address of a stream (http, https, rtsp) or a
        file, which is played at its own pace. Frames that arrive while one is processed are
        dropped. `timeout` is how many seconds to wait for a stream. Closing the iterator, or
        setting the event `until`, releases the camera.

        Raises SourceError if the source cannot be opened or breaks off, and as `follow` does.
        """
        return video.watch(self, source, gap=gap, timeout=timeout, until=until)

    def from_distribution(
        self, age_probabilities: NDArray[np.floating], age_years: float, female_probability: float
    ) -> Prediction:
        """Return the prediction of an age distribution (117,) fused from several pictures.

        `age_years` counts if the model estimates ages itself; otherwise the age is the median.
        """
        values = ([age_probabilities], [age_years], [female_probability])
        output = Output(*(np.array(value, np.float32) for value in values))
        return self.model.predictions(output, None, None, self.settings.gender_threshold)[0]

    def settle(self, ages: NDArray[np.floating], age: float, female: float) -> Prediction:
        """Deprecated name of `from_distribution`."""
        message = "Predictor.settle is deprecated: use Predictor.from_distribution"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.from_distribution(ages, age, female)

    def _answers(self, pending: list[PictureFaces]) -> list[Answer]:
        """Predict all pending chips together, and give each picture its predictions."""
        with self.seconds.timed("predict"):
            chips = np.concatenate([one.chips for one in pending])
            output = self.model.predict(chips, flip=self.flip)
        answers, start = [], 0
        for one in pending:
            own = Output(*(values[start : start + len(one.chips)] for values in output))
            predictions = self.model.predictions(
                own, one.faces, one.quality_issues, self.settings.gender_threshold
            )
            answers.append(
                Answer(one.name, predictions, one.error, one.picture, one.width, one.height)
            )
            start += len(one.chips)
        return answers
