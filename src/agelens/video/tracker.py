"""Track faces from frame to frame: assign the faces of a frame to the tracks they belong to.

A face continues the track with the lowest matching cost: by its distance from where the track was
heading (in face widths), and by the change of its size and appearance. The appearance is the
aligned face at 16 x 16 pixels: too little to recognise anyone, enough to tell apart two people who
cross or follow each other in a cut. A person who is gone for longer than the gap is a new track.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.faces.alignment import warp
from agelens.images.decode import Picture
from agelens.images.resample import shrink
from agelens.results import Box, Landmarks

Appearance: TypeAlias = NDArray[np.float64]  # mean 0, norm 1 (all 0: one colour)

# Similarities measured on 1,500 faces of UTKFace: two people have 0.20 (median) and 0.74 (99th
# percentile); a face and its slightly moved, rotated, relit, blurred copy 0.80 (1st percentile).
SAME_PERSON = 0.8
CUT = 0.5  # similarity of two frames below which the camera may have cut
MAX_COST = 5.0  # half a sum of squares, as in a normal distribution: about 3 sigma
HEADING = 0.5  # seconds for which a track is expected to keep its velocity


@dataclass(frozen=True, slots=True)
class Detection:
    """A face in a frame."""

    centre: tuple[float, float]  # pixels, of the landmarks: unlike the box never cut off
    size: float  # pixels, the box's longer side
    appearance: Appearance

    @classmethod
    def of(cls, picture: Picture, box: Box, landmarks: Landmarks) -> "Detection":
        """Describe a face in a picture, uint8 (H, W, 3)."""
        x, y = landmarks.array().mean(axis=0).tolist()
        chip = warp(picture, landmarks, 64)
        return cls((x, y), max(box.width, box.height, 1.0), appearance(chip, 16, 16))


@dataclass(slots=True)
class _Track:
    number: int
    last: Detection
    time: float  # seconds, when last seen
    velocity: tuple[float, float] = (0.0, 0.0)  # pixels a second
    views: int = 1
    missed: int = 0  # frames in a row
    after_cut: bool = False  # there may have been a cut since it was last seen


class Tracker:
    """Assigns each face of each frame the number of its track: 1, 2, ... in order of appearance."""

    def __init__(self, gap: float = 1.0) -> None:
        """Start without tracks; one unseen for more than `gap` seconds (and two frames) ends."""
        self.gap = gap
        self._tracks: list[_Track] = []
        self._count = 0
        self._scene: Appearance | None = None

    def alive(self) -> set[int]:
        """Return the numbers of the tracks that may continue."""
        return {track.number for track in self._tracks}

    def update(self, time: float, faces: Sequence[Detection], scene: Appearance) -> list[int]:
        """Assign the faces of the next frame; return the track number of each.

        `time` is in seconds and increases; `scene` is the appearance of the whole frame.
        """
        if self._scene is not None and float(scene @ self._scene) < CUT:
            for track in self._tracks:
                track.after_cut = True
        self._scene = scene

        numbers = [0] * len(faces)
        free = {track.number: track for track in self._tracks}
        pairs = [
            (cost, number, place)
            for number, track in free.items()
            for place, face in enumerate(faces)
            if (cost := _matching_cost(track, face, time)) < MAX_COST
        ]
        for _, number, place in sorted(pairs):
            if number in free and not numbers[place]:
                _extend(free.pop(number), faces[place], time)
                numbers[place] = number
        for track in free.values():
            track.missed += 1
        self._tracks = [t for t in self._tracks if t.missed < 2 or time - t.time <= self.gap]
        for place, face in enumerate(faces):
            if not numbers[place]:
                numbers[place] = self._count = self._count + 1
                self._tracks.append(_Track(self._count, face, time))
        return numbers


def appearance(picture: Picture, width: int, height: int) -> Appearance:
    """Describe a picture, uint8 (H, W, 3), by its colours at width x height pixels.

    The mean of each channel is subtracted, so that brighter or warmer light changes little.
    """
    small = shrink(picture, width, height).astype(np.float64)
    small -= small.mean(axis=(0, 1))
    norm = float(np.linalg.norm(small))
    return (small / norm if norm > 0 else small).ravel()


def _matching_cost(track: _Track, face: Detection, time: float) -> float:
    since = max(0.0, time - track.time)
    moving = min(since, HEADING)
    expected = np.add(track.last.centre, np.multiply(track.velocity, moving))
    distance = math.dist(face.centre, expected) / math.sqrt(face.size * track.last.size)
    scaling = abs(math.log(face.size / track.last.size))
    difference = 1 - float(face.appearance @ track.last.appearance)
    if track.after_cut and difference > 1 - SAME_PERSON:
        return math.inf
    reach = 0.3 + 2 * min(since, 0.6)  # who walks past moves about five face widths a second
    growth = 0.25 + 0.5 * min(since, 0.5)
    return ((distance / reach) ** 2 + (scaling / growth) ** 2 + (difference / 0.2) ** 2) / 2


def _extend(track: _Track, face: Detection, time: float) -> None:
    if (since := time - track.time) > 0:
        now = [(a - b) / since for a, b in zip(face.centre, track.last.centre, strict=True)]
        old = now if track.views == 1 else track.velocity
        track.velocity = ((now[0] + old[0]) / 2, (now[1] + old[1]) / 2)
    track.last, track.time, track.missed, track.after_cut = face, time, 0, False
    track.views += 1
