"""Pictures -> Predictions: find faces, align them, ask the model, batched across pictures."""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, overload

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens import distribution, doubt, images, seeing
from agelens.align import warp_all
from agelens.detect import Detector
from agelens.errors import AgelensError, BadPicture, ConfigError, SourceError
from agelens.face import Face, Gender, Prediction, Reason
from agelens.resample import shrink
from agelens.runtime import CHIP, Model, Output
from agelens.sources import Source
from agelens.video import follow as following
from agelens.video.reading import Clip
from agelens.video.track import Moment

Input: TypeAlias = str | Path | bytes | NDArray[np.uint8] | Image.Image
"""One picture: a path, encoded bytes, uint8 RGB (H, W, 3) or grey (H, W), or a PIL image."""

BATCH = 16
"""Faces that the model sees at once: more are no faster on a processor, and take more memory."""
WAITING_PIXELS = 32_000_000
"""Pixels of pictures kept back while a batch fills (96 MB)."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came of one input of a stream."""

    name: str
    predictions: list[Prediction]  # largest face first; empty where there is none
    error: AgelensError | None  # set where the input could not be read
    picture: images.Picture | None  # where asked for: the upright pixels the boxes refer to
    width: int  # pixels of the upright picture; 0 where it could not be read
    height: int


@dataclass(slots=True)
class _Seen:
    """A picture whose faces are cut out and wait for the model."""

    name: str
    faces: list[Face] | None  # None for an aligned chip
    chips: NDArray[np.uint8]  # (faces, CHIP, CHIP, 3)
    width: int
    height: int
    poor: list[tuple[Reason, ...]] = field(default_factory=list)  # why a face is not seen well
    picture: images.Picture | None = None
    error: AgelensError | None = None
    predictions: list[Prediction] = field(default_factory=list)


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
        if not 0.5 <= gender_threshold <= 1:
            raise ConfigError(f"gender_threshold {gender_threshold!r}: expected 0.5 to 1")
        if not min_face >= 0:
            raise ConfigError(f"min_face {min_face!r}: expected pixels, 0 or more")
        if max_faces is not None and max_faces < 1:
            raise ConfigError(f"max_faces {max_faces!r}: expected 1 or more, or None for all")
        if threads is not None:
            if threads < 1:
                raise ConfigError(f"threads {threads!r}: expected 1 or more")
            cv2.setNumThreads(threads)
        self.model = model
        self.threads = threads
        self.card = model.card
        self.flip = bool(self.card.get("flip", False)) if flip is None else flip
        self.gender_threshold = gender_threshold
        self.min_face = min_face
        self.max_faces = max_faces
        self._levels = model.interval_levels()
        self._workers = threads if threads is not None else max(1, min(4, cv2.getNumThreads()))
        self._detector = Detector(longest=longest)
        # Seconds spent in each stage so far; exact with one thread, near enough with several.
        self.seconds = dict.fromkeys(("decode", "detect", "align", "predict"), 0.0)

    def __reduce__(self) -> tuple[Callable[..., "Predictor"], tuple[Model, dict[str, Any]]]:
        return _restore, (
            self.model,
            {
                "threads": self.threads,
                "flip": self.flip,
                "longest": self._detector.longest,
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
        if _is_one(pictures):
            one = self._see("picture", pictures, chips, False)
            if one.error is not None:
                raise one.error
            self._fill([one])
            return one.predictions
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
        recognised. `agelens.video.follow.people` of the moments gives each person once. The clip is
        read as the moments are asked for, and may be of any length.

        Raises MissingExtra without PyAV, SourceError for a file that is not there, BadClip for
        one that is no clip, ConfigError for a setting out of range.
        """
        return following.follow(self, clip, fps=fps, every=every, gap=gap)

    def watch(
        self, source: int | str | Path = 0, *, gap: float = 1.0, timeout: float = 10.0
    ) -> Generator[Moment, None, None]:
        """Follow the people before a camera, live: each moment is of the newest frame.

        `source` is the number of a camera, the address of a stream (http, https, rtsp) or a
        file, which is played at its own pace. Frames that come while one is worked on are let
        go. A stream may keep us waiting for `timeout` seconds. Closing the iterator, or leaving
        it, lets go of the camera.

        Raises SourceError where the camera or stream cannot be opened or breaks off, else as
        `follow`.
        """
        return following.watch(self, source, gap=gap, timeout=timeout)

    def settle(self, ages: NDArray[np.floating], age: float, female: float) -> Prediction:
        """Make the prediction of a joint distribution (117,), for a face of no single picture.

        `age`, in years, counts where the model estimates ages by itself; else it is the median.
        """
        (one,) = self._predictions(
            np.asarray(ages, np.float32)[None],
            np.array([age], np.float32),
            np.array([female], np.float32),
            None,
        )
        return one

    def _stream(
        self, inputs: Iterable[tuple[str, Any]], chips: bool, keep: bool
    ) -> Iterator[Answer]:
        waiting: list[_Seen] = []
        for seen in self._see_ahead(inputs, chips, keep):
            waiting.append(seen)
            faces = sum(len(s.chips) for s in waiting)
            pixels = sum(s.width * s.height for s in waiting if s.picture is not None)
            if faces >= BATCH or len(waiting) >= 2 * BATCH or pixels > WAITING_PIXELS:
                yield from self._fill(waiting)
                waiting = []
        yield from self._fill(waiting)

    def _see_ahead(
        self, inputs: Iterable[tuple[str, Any]], chips: bool, keep: bool
    ) -> Iterator[_Seen]:
        """Decode and search some pictures ahead, on as many threads as allowed, in order."""
        if self._workers == 1:
            for name, data in inputs:
                yield self._see(name, data, chips, keep)
            return
        ahead: deque[Future[_Seen]] = deque()
        with ThreadPoolExecutor(self._workers, "agelens") as pool:
            try:
                for name, data in inputs:
                    ahead.append(pool.submit(self._see, name, data, chips, keep))
                    if len(ahead) > self._workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:  # the caller stopped early
                for future in ahead:
                    future.cancel()

    def _see(self, name: str, data: Any, chips: bool, keep: bool) -> _Seen:
        """Read one input, find its faces and cut them out; an error becomes a value."""
        try:
            with self._timed("decode"):
                picture = _read(data)
            height, width = picture.shape[:2]
            if chips:
                faces, cut = None, _as_chip(picture)[None]
                poor = [seeing.reasons(cut[0])]
            else:
                with self._timed("detect"):
                    faces = self._choose(self._detector.detect(picture))
                with self._timed("align"):
                    points = [face.landmarks for face in faces]
                    cut = warp_all(picture, points, CHIP)
                    poor = [
                        seeing.reasons(chip, five, width, height)
                        for chip, five in zip(cut, points, strict=True)
                    ]
        except AgelensError as error:
            none = np.zeros((0, CHIP, CHIP, 3), np.uint8)
            return _Seen(name, [], none, 0, 0, error=error)
        return _Seen(name, faces, cut, width, height, poor, picture if keep else None)

    def _choose(self, faces: list[Face]) -> list[Face]:
        """Leave out faces that are too small, or too many; the largest come first."""
        large = [f for f in faces if min(f.box.width, f.box.height) >= self.min_face]
        return large[: self.max_faces]

    def _fill(self, waiting: list[_Seen]) -> list[Answer]:
        """Ask the model about all chips that wait, and hand each picture its answers."""
        if waiting:
            chips = np.concatenate([seen.chips for seen in waiting])
            with self._timed("predict"):
                ages, years, female = self._ask(chips)
            start = 0
            for seen in waiting:
                stop = start + len(seen.chips)
                part = slice(start, stop)
                seen.predictions = self._predictions(
                    ages[part], years[part], female[part], seen.faces, seen.poor
                )
                start = stop
        return [
            Answer(s.name, s.predictions, s.error, s.picture, s.width, s.height) for s in waiting
        ]

    def _ask(
        self, chips: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        outs = [self._batch(chips[i : i + BATCH]) for i in range(0, max(1, len(chips)), BATCH)]
        return (
            np.concatenate([out.age_probabilities for out in outs]),
            np.concatenate([out.age_years for out in outs]),
            np.concatenate([out.female_probability for out in outs]),
        )

    def _batch(self, chips: NDArray[np.uint8]) -> Output:
        seen = self.model.run(chips)
        if not self.flip:
            return seen
        mirror = self.model.run(np.ascontiguousarray(chips[:, :, ::-1]))
        return Output(
            _mean(seen.age_probabilities, mirror.age_probabilities),
            _mean(seen.age_years, mirror.age_years),
            _mean(seen.female_probability, mirror.female_probability),
        )

    def _predictions(
        self,
        ages: NDArray[np.float32],
        years: NDArray[np.float32],
        female: NDArray[np.float32],
        faces: list[Face] | None,
        poor: list[tuple[Reason, ...]] | None = None,
    ) -> list[Prediction]:
        low, high = self._levels.ends(ages)
        own = self.card.get("estimator", "median") != "median"
        points = years.astype(np.float64) if own else distribution.median(ages)
        found: list[Face | None] = [None] * len(ages) if faces is None else list(faces)
        verdicts = doubt.judge(points, ages, female, poor=poor)
        return [
            Prediction(
                age=float(points[i]),
                age_interval=(float(min(low[i], points[i])), float(max(high[i], points[i]))),
                age_probabilities=ages[i],
                gender=self._gender(float(female[i])),
                female_probability=float(female[i]),
                box=face.box if face else None,
                landmarks=face.landmarks if face else None,
                detection_score=face.score if face else None,
                status=verdicts[i].status,
                reasons=verdicts[i].reasons,
                doubt=verdicts[i].doubt,
            )
            for i, face in enumerate(found)
        ]

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def _gender(self, female: float) -> Gender | None:
        if max(female, 1 - female) < self.gender_threshold:
            return None
        return Gender.FEMALE if female >= 0.5 else Gender.MALE


def _restore(model: Model, settings: dict[str, Any]) -> Predictor:
    return Predictor(model, **settings)


def _mean(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return ((a + b) / 2).astype(np.float32, copy=False)


def _is_one(pictures: object) -> bool:
    if isinstance(pictures, np.ndarray):
        return pictures.ndim != 4
    single = isinstance(pictures, (str, Path, bytes, bytearray, memoryview))
    return single or isinstance(pictures, Image.Image) or not isinstance(pictures, Iterable)


def _number(pictures: Any) -> Iterator[tuple[str, Any]]:
    return ((str(place), picture) for place, picture in enumerate(pictures))


def _read(data: Any) -> images.Picture:
    if isinstance(data, np.ndarray):
        return images.from_array(data)
    if isinstance(data, (bytes, bytearray, memoryview)):
        return images.read(bytes(data))
    if isinstance(data, (str, Path)):
        if not os.path.lexists(data):  # unlike Path.exists, never raises
            raise SourceError(f"no such file: {str(data)!r}; check the path")
        if Path(data).is_dir():
            raise SourceError(
                f"{str(data)!r} is a folder: give its files as a list, or use  agelens predict"
            )
        return images.read(data)
    if isinstance(data, Image.Image):
        return images.from_pil(data)
    raise BadPicture(
        f"an input of type {type(data).__name__}: expected a path, bytes, "
        "a uint8 array (H, W, 3) or a PIL image"
    )


def _as_chip(picture: images.Picture) -> images.Picture:
    height, width = picture.shape[:2]
    if height != width:
        raise BadPicture(
            f"chip of {width} x {height} pixels: expected a square, aligned to the UTKFace "
            "template; leave `chips` off to have faces found"
        )
    return shrink(picture, CHIP, CHIP)
