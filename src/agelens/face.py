"""The words of the house: gender, box, landmarks, face, prediction.

Coordinates are pixels, origin top left. "Right eye" is the person's right eye,
so the left one in the picture. Ages are years. Probabilities are 0 to 1.
"""

from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Gender(StrEnum):
    """The appearance label that the training data carry; not a statement about a person."""

    FEMALE = "female"
    MALE = "male"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """Square pixels; 0 for an empty box."""
        return max(self.width, 0.0) * max(self.height, 0.0)

    def overlap(self, other: "Box") -> float:
        """Give intersection over union with another box, 0 to 1."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        if wide <= 0 or high <= 0:
            return 0.0
        shared = wide * high
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Five points of a face, each (x, y) in pixels."""

    right_eye: tuple[float, float]
    left_eye: tuple[float, float]
    nose: tuple[float, float]
    right_mouth: tuple[float, float]
    left_mouth: tuple[float, float]

    def array(self) -> NDArray[np.float64]:
        """Give the points as float64 (5, 2), in the order of the fields."""
        return np.array([getattr(self, f.name) for f in fields(self)], np.float64)

    @classmethod
    def from_array(cls, points: NDArray[np.floating]) -> "Landmarks":
        """Take float (5, 2) in the order of the fields. Raises ValueError for another shape."""
        if points.shape != (5, 2):
            raise ValueError(f"landmarks of shape {points.shape}: expected (5, 2)")
        return cls(*((float(x), float(y)) for x, y in points))


@dataclass(frozen=True, slots=True)
class Face:
    """A face that the detector found."""

    box: Box
    landmarks: Landmarks
    score: float  # 0 to 1, how sure the detector is


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the model believes about one face."""

    age: float  # years, median of the distribution
    age_interval: tuple[float, float]  # years, meant to hold the age 9 times in 10
    age_probabilities: NDArray[np.float32]  # (117,), one for each whole age, sum 1
    gender: Gender
    female_probability: float  # 0 to 1
    box: Box | None  # None where the input was an aligned chip
    landmarks: Landmarks | None  # None where the input was an aligned chip
    detection_score: float | None  # 0 to 1; None where the input was an aligned chip
