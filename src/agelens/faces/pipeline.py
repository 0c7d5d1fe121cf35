"""Pictures -> their faces, found, cut out as chips and looked over, some pictures ahead."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.errors import AgelensError, ConfigError
from agelens.faces import quality
from agelens.faces.alignment import warp_all
from agelens.faces.detector import Detector
from agelens.faces.prefetch import ahead
from agelens.images import decode, inputs
from agelens.inference.runtime import CHIP
from agelens.results import Face, Reason
from agelens.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A picture whose faces are cut out and wait for the model."""

    name: str
    faces: list[Face] | None  # largest first; None for an aligned chip
    chips: NDArray[np.uint8]  # (faces, CHIP, CHIP, 3)
    width: int  # pixels of the upright picture; 0 where it could not be read
    height: int
    poor: list[tuple[Reason, ...]] = field(default_factory=list)  # why a face is not seen well
    picture: decode.Picture | None = None  # where asked for
    error: AgelensError | None = None  # set where the input could not be used


class Finder:
    """Reads pictures, finds their faces and cuts them out. Safe to call from several threads."""

    def __init__(
        self,
        seconds: Stopwatch,
        *,
        longest: int,
        min_face: float,
        max_faces: int | None,
        threads: int | None,
    ) -> None:
        """Prepare; see `agelens.load` for the settings.

        Time is added to the stages decode, detect and align of `seconds`. Raises ConfigError
        for a setting out of range.
        """
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
        self._workers = threads if threads is not None else max(1, min(4, cv2.getNumThreads()))
        self._detector = Detector(longest=longest)

    def find(self, name: str, data: Any, *, chips: bool, keep: bool) -> Found:
        """Read one input and cut out its faces; an error becomes a value.

        With `chips` the input is an aligned chip, with `keep` its pixels are kept.
        """
        try:
            with self._seconds.timed("decode"):
                picture = inputs.read(data)
            height, width = picture.shape[:2]
            if chips:
                faces, cut = None, inputs.as_chip(picture, CHIP)[None]
                poor = [quality.reasons(cut[0])]
            else:
                with self._seconds.timed("detect"):
                    faces = self._choose(self._detector.detect(picture))
                with self._seconds.timed("align"):
                    points = [face.landmarks for face in faces]
                    cut = warp_all(picture, points, CHIP)
                    poor = [
                        quality.reasons(chip, five, width, height)
                        for chip, five in zip(cut, points, strict=True)
                    ]
        except AgelensError as error:
            none = np.zeros((0, CHIP, CHIP, 3), np.uint8)
            return Found(name, [], none, 0, 0, error=error)
        return Found(name, faces, cut, width, height, poor, picture if keep else None)

    def find_ahead(
        self, named: Iterable[tuple[str, Any]], *, chips: bool, keep: bool
    ) -> Iterator[Found]:
        """Do so for many, some pictures ahead, on as many threads as allowed, in order."""
        if self._workers == 1:
            for name, data in named:
                yield self.find(name, data, chips=chips, keep=keep)
            return

        def find(one: tuple[str, Any]) -> Found:
            return self.find(*one, chips=chips, keep=keep)

        yield from ahead(find, named, self._workers, "agelens")

    def _choose(self, faces: list[Face]) -> list[Face]:
        """Leave out faces that are too small, or too many; the largest come first."""
        large = [f for f in faces if min(f.box.width, f.box.height) >= self._min_face]
        return large[: self._max_faces]
