"""Detect the faces of each picture and cut one aligned chip per face, prefetching the next ones."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.errors import AgelensError, ConfigError
from agelens.faces.alignment import warp
from agelens.faces.detector import Detector
from agelens.faces.quality import is_doubtful, quality_issues
from agelens.images import sources
from agelens.images.decode import Picture
from agelens.images.sources import Source
from agelens.inference.runtime import CHIP
from agelens.provenance import Stopwatch
from agelens.results import Face, Reason

Item = TypeVar("Item")
Result = TypeVar("Result")


class FaceDetector(Protocol):
    """Anything that detects faces; it must be safe to use from several threads."""

    def detect(self, picture: Picture) -> list[Face]:
        """Detect the faces in RGB uint8 (H, W, 3), largest first; none is an empty list."""


DETECTORS: dict[str, Callable[[int], FaceDetector]] = {"yunet": Detector}
"""The detectors by name, made from the long side in pixels at which pictures are searched.

To add one, write a class with `detect` in a file of this folder, and add a line here.
"""


@dataclass(frozen=True, slots=True, eq=False)
class PictureFaces:
    """The faces of one picture, cut out as chips and ready for the model."""

    name: str
    faces: list[Face] | None  # largest first; None for an aligned chip
    chips: NDArray[np.uint8]  # (faces, CHIP, CHIP, 3)
    width: int  # pixels of the upright picture; 0 if it could not be read
    height: int
    quality_issues: list[tuple[Reason, ...]] = field(default_factory=list)  # of each face
    picture: Picture | None = None  # only if requested
    error: AgelensError | None = None  # set if the input could not be used


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a predictor; `agelens.load` describes them."""

    threads: int | None = None
    flip: bool | None = None
    detector: str = "yunet"
    longest: int = 1280
    gender_threshold: float = 0.5
    min_face: float = 0
    max_faces: int | None = None
    keep_doubtful: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of range; the detector checks `longest`."""
        counts = {"threads": self.threads, "max_faces": self.max_faces}
        for name, is_valid, expected in (
            ("detector", self.detector in DETECTORS, f"one of {', '.join(DETECTORS)}"),
            ("gender_threshold", 0.5 <= self.gender_threshold <= 1, "0.5 to 1"),
            ("min_face", self.min_face >= 0, "pixels, 0 or more"),
            *((name, n is None or n >= 1, "1 or more, or None") for name, n in counts.items()),
        ):
            if not is_valid:
                raise ConfigError(f"{name} {getattr(self, name)!r}: expected {expected}")


class FacePipeline:
    """Decodes pictures, detects their faces and cuts chips; safe to use from several threads."""

    def __init__(self, seconds: Stopwatch, settings: Settings) -> None:
        """Prepare the detector.

        The time taken is added to the stages decode, detect and align of `seconds`. Raises
        ConfigError for a `longest` out of range.
        """
        if settings.threads is not None:
            cv2.setNumThreads(settings.threads)
        self._threads = settings.threads or max(1, min(4, cv2.getNumThreads()))
        self._seconds = seconds
        self._settings = settings
        self._detector = DETECTORS[settings.detector](settings.longest)

    def process(self, source: Source, *, chips: bool, keep_picture: bool) -> PictureFaces:
        """Read one input, detect its faces and cut their chips; errors are returned, not raised.

        With `chips` the input is an aligned chip itself; `keep_picture` keeps its pixels.
        """
        faces: list[Face] | None = None
        try:
            with self._seconds.timed("decode"):
                picture = sources.read(source.data)
            height, width = picture.shape[:2]
            if chips:
                cut = sources.as_chip(picture, CHIP)[None]
                issues = [quality_issues(cut[0])]
            else:
                with self._seconds.timed("detect"):
                    found = self._detector.detect(picture)  # largest first
                    least = self._settings.min_face
                    large = [f for f in found if min(f.box.width, f.box.height) >= least]
                with self._seconds.timed("align"):
                    faces, cut = self._cut(picture, large)
                    issues = [
                        quality_issues(chip, face.landmarks, width, height)
                        for chip, face in zip(cut, faces, strict=True)
                    ]
        except AgelensError as error:
            none = np.zeros((0, CHIP, CHIP, 3), np.uint8)
            return PictureFaces(source.name, [], none, 0, 0, error=error)
        kept = picture if keep_picture else None
        return PictureFaces(source.name, faces, cut, width, height, issues, kept)

    def _cut(self, picture: Picture, found: list[Face]) -> tuple[list[Face], NDArray[np.uint8]]:
        """Cut the chips of the faces, without doubtful ones; return the faces with their chips."""
        faces: list[Face] = []
        chips = np.empty((len(found), CHIP, CHIP, 3), np.uint8)
        for face in found:
            if len(faces) == self._settings.max_faces:
                break
            chips[len(faces)] = warp(picture, face.landmarks, CHIP)
            if self._settings.keep_doubtful or not is_doubtful(chips[len(faces)], face.score):
                faces.append(face)
        return faces, chips[: len(faces)]

    def stream(
        self, pictures: Iterable[Source], *, chips: bool, keep_pictures: bool
    ) -> Iterator[PictureFaces]:
        """Process pictures in order, prefetching on as many threads as allowed."""
        process = partial(self.process, chips=chips, keep_picture=keep_pictures)
        if self._threads == 1:
            return map(process, pictures)
        return prefetch(process, pictures, self._threads, "agelens")


def prefetch(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    name: str = "",
    *,
    ahead: int | None = None,
    size: Callable[[Item], int] = lambda item: 0,
    max_size: int = 0,
) -> Iterator[Result]:
    """Map a function over an iterable in background threads, a few items ahead, in order.

    Up to `ahead` items (default: `threads`) are in progress or wait for the consumer, and fewer
    where their sizes add up to more than `max_size`. Items are taken as they are needed, so the
    iterable may be endless. If the consumer stops, nothing more is started. An exception of the
    function is raised where its result would have come.
    """
    pending: deque[tuple[Future[Result], int]] = deque()
    held = 0
    with ThreadPoolExecutor(threads, name) as pool:
        try:
            for item in items:
                pending.append((pool.submit(function, item), size(item)))
                held += pending[-1][1]
                while len(pending) > (ahead or threads) or held > max_size:
                    future, released = pending.popleft()
                    held -= released
                    yield future.result()
            while pending:
                yield pending.popleft()[0].result()
        finally:
            for future, _ in pending:
                future.cancel()
