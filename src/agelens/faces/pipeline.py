"""Detect the faces of each picture and cut one aligned chip per face, prefetching the next ones."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.errors import AgelensError, ConfigError
from agelens.faces.alignment import warp_all
from agelens.faces.detector import Detector
from agelens.faces.prefetch import prefetch
from agelens.faces.quality import quality_issues
from agelens.images import decode, inputs
from agelens.inference.runtime import CHIP
from agelens.results import Face, Reason
from agelens.stopwatch import Stopwatch


class FaceDetector(Protocol):
    """Anything that detects faces; it must be safe to use from several threads."""

    def detect(self, picture: decode.Picture) -> list[Face]:
        """Detect the faces in RGB uint8 (H, W, 3), largest first; none is an empty list."""
        ...


DETECTORS: dict[str, Callable[[int], FaceDetector]] = {"yunet": Detector}
"""The detectors by name, made from the long side in pixels at which pictures are searched.

A new one is a class with `detect` in a file of this folder, and a line here.
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
    picture: decode.Picture | None = None  # only if requested
    error: AgelensError | None = None  # set if the input could not be used


class FacePipeline:
    """Decodes pictures, detects their faces and cuts chips; safe to use from several threads."""

    def __init__(
        self,
        seconds: Stopwatch,
        *,
        detector: str,
        longest: int,
        min_face: float,
        max_faces: int | None,
        threads: int | None,
    ) -> None:
        """Prepare the detector; see `agelens.load` for the settings.

        The time taken is added to the stages decode, detect and align of `seconds`. Raises
        ConfigError for a setting out of range.
        """
        if detector not in DETECTORS:
            raise ConfigError(f"detector {detector!r}: expected one of {', '.join(DETECTORS)}")
        if not min_face >= 0:
            raise ConfigError(f"min_face {min_face!r}: expected pixels, 0 or more")
        if max_faces is not None and max_faces < 1:
            raise ConfigError(f"max_faces {max_faces!r}: expected 1 or more, or None for all")
        if threads is not None:
            if threads < 1:
                raise ConfigError(f"threads {threads!r}: expected 1 or more")
            cv2.setNumThreads(threads)
        self._seconds = seconds
        self._min_face = min_face
        self._max_faces = max_faces
        self._threads = threads if threads is not None else max(1, min(4, cv2.getNumThreads()))
        self._detector = DETECTORS[detector](longest)

    def process(self, name: str, data: Any, *, chips: bool, keep_picture: bool) -> PictureFaces:
        """Decode one input, detect its faces and cut their chips; errors are returned, not raised.

        With `chips` the input is an aligned chip itself; `keep_picture` keeps its pixels.
        """
        faces: list[Face] | None = None
        try:
            with self._seconds.timed("decode"):
                picture = inputs.read(data)
            height, width = picture.shape[:2]
            if chips:
                cut = inputs.as_chip(picture, CHIP)[None]
                issues = [quality_issues(cut[0])]
            else:
                with self._seconds.timed("detect"):
                    faces = self._select(self._detector.detect(picture))
                with self._seconds.timed("align"):
                    landmarks = [face.landmarks for face in faces]
                    cut = warp_all(picture, landmarks, CHIP)
                    issues = [
                        quality_issues(chip, five, width, height)
                        for chip, five in zip(cut, landmarks, strict=True)
                    ]
        except AgelensError as error:
            return PictureFaces(name, [], np.zeros((0, CHIP, CHIP, 3), np.uint8), 0, 0, error=error)
        kept = picture if keep_picture else None
        return PictureFaces(name, faces, cut, width, height, issues, kept)

    def stream(
        self, named: Iterable[tuple[str, Any]], *, chips: bool, keep_pictures: bool
    ) -> Iterator[PictureFaces]:
        """Process (name, data) pairs in order, prefetching on as many threads as allowed."""

        def process(item: tuple[str, Any]) -> PictureFaces:
            return self.process(*item, chips=chips, keep_picture=keep_pictures)

        if self._threads == 1:
            return map(process, named)
        return prefetch(process, named, self._threads, "agelens")

    def _select(self, faces: list[Face]) -> list[Face]:
        """Drop faces that are too small or too many; the faces come largest first."""
        large = [f for f in faces if min(f.box.width, f.box.height) >= self._min_face]
        return large[: self._max_faces]
