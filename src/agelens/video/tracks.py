"""What following people gives: a track for each of them, and moments that hold the tracks."""

from dataclasses import dataclass
from typing import Any

from agelens.images.decode import Picture
from agelens.results import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person over the frames so far."""

    number: int  # 1, 2, ... in the order in which they turned up
    first_frame: int
    last_frame: int
    first_time: float  # seconds from the first frame
    last_time: float
    views: int  # frames that the prediction is made of
    prediction: Prediction  # of all views together; box and landmarks are those of the last

    def span(self) -> dict[str, Any]:
        """Give whose the track is, and from when to when, as plain values: seconds to 0.001."""
        return {
            "person": self.number,
            "views": self.views,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "first_time": round(self.first_time, 3),
            "last_time": round(self.last_time, 3),
        }

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: `span`, then those of the prediction."""
        return self.span() | self.prediction.to_dict()

    def __str__(self) -> str:
        """Read it as a person would say it: "woman, 34 (28-41), 2.4-7.0 s"."""
        return f"{self.prediction}, {self.first_time:.1f}-{self.last_time:.1f} s"


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame: who is on it, and what it says by itself."""

    frame: int  # 0, 1, ...: of the clip, or of what the camera gave
    time: float  # seconds from the first frame
    picture: Picture  # the upright pixels that the boxes refer to
    tracks: list[Track]  # of the people on this frame, by number, as they stand now
    views: list[Prediction]  # what this frame alone says of them, in the same order
