"""The result types of tracking: a track per person, and a moment per frame with its tracks."""

from dataclasses import dataclass
from typing import Any

from agelens.images.decode import Picture
from agelens.results import Prediction


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
        return {
            "person": self.number,
            "views": self.views,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "first_time": round(self.first_time, 3),
            "last_time": round(self.last_time, 3),
        }

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
