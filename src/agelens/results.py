"""The words of the house: gender, box, landmarks, face, status, quality, prediction.

Coordinates are pixels, origin top left. "Right eye" is the person's right eye,
so the left one in the picture. Ages are years. Probabilities are 0 to 1.
"""

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

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


class Status(StrEnum):
    """How far an answer can be relied on."""

    OK = "ok"
    UNSURE = "unsure"  # the face is seen well, yet the model is in doubt
    POOR = "poor"  # the face is not seen well enough


class Reason(StrEnum):
    """Why an answer is unsure or poor."""

    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    DARK = "dark"
    BRIGHT = "bright"
    CUT_OFF = "cut_off"  # by the picture's edge
    UNLIKE = "unlike"  # the faces of the training, and none of the above
    AGE_UNCLEAR = "age_unclear"
    GENDER_UNCLEAR = "gender_unclear"

    @property
    def words(self) -> str:
        """The reason as people read it: "too small", "unlike the training"."""
        if self is Reason.UNLIKE:
            return "unlike the training"
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the model believes about one face."""

    age: float  # years, median of the distribution
    age_interval: tuple[float, float]  # years, meant to hold the age 9 times in 10
    age_probabilities: NDArray[np.float32]  # (117,), one for each whole age, sum 1
    gender: Gender | None  # None where neither reaches the threshold that was asked for
    female_probability: float  # 0 to 1
    box: Box | None  # None where the input was an aligned chip
    landmarks: Landmarks | None  # None where the input was an aligned chip
    detection_score: float | None  # 0 to 1; None where the input was an aligned chip
    status: Status = Status.OK
    reasons: tuple[Reason, ...] = ()  # empty where the status is ok
    doubt: float = 0.0  # 0 to 1: chance that the age is off by over 10 years or the gender wrong

    def p_over(self, years: float) -> float:
        """Give the probability, 0 to 1, that the person has reached an age: `p_over(18)`.

        Ages count as in the labels: in whole years reached. Within a year the mass is spread
        evenly, so `p_over(17.5)` lies between `p_over(17)` and `p_over(18)`.
        """
        p = np.asarray(self.age_probabilities, np.float64)
        share = np.clip(np.arange(1, len(p) + 1) - years, 0, 1)  # of each year's mass
        return min(1.0, float((p * share).sum() / p.sum()))

    def to_dict(self, *, distribution: bool = False) -> dict[str, Any]:
        """Give plain values for JSON: years to 0.01, pixels to 0.1, shares to 1e-4.

        With `distribution` also `age_probabilities`, 117 numbers to 1e-5.
        """
        low, high = self.age_interval
        face: dict[str, Any] = {
            "age": round(self.age, 2),
            "age_interval": [round(low, 2), round(high, 2)],
            "gender": None if self.gender is None else self.gender.value,
            "female_probability": round(self.female_probability, 4),
            "status": self.status.value,
            "reasons": [reason.value for reason in self.reasons],
            "doubt": round(self.doubt, 4),
            "box": None,
            "landmarks": None,
            "detection_score": None,
        }
        if self.box is not None:
            face["box"] = [round(v, 1) for v in asdict(self.box).values()]
        if self.landmarks is not None:
            points = self.landmarks.array()
            face["landmarks"] = [[round(float(x), 1), round(float(y), 1)] for x, y in points]
        if self.detection_score is not None:
            face["detection_score"] = round(self.detection_score, 4)
        if distribution:
            face["age_probabilities"] = [round(float(p), 5) for p in self.age_probabilities]
        return face

    def to_json(self, *, distribution: bool = False) -> str:
        """Give `to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(distribution=distribution))

    @property
    def person(self) -> str:
        """Who it seems to be, in a word: woman, man, girl, boy, or person, child.

        Grown up from 18 years. The neutral word stands where no gender is given or the
        gender is unclear, which it often is with small children.
        """
        grown = self.p_over(18) >= 0.5
        if self.gender is None or Reason.GENDER_UNCLEAR in self.reasons:
            return "person" if grown else "child" if self.age < 13 else "young person"
        if self.gender is Gender.FEMALE:
            return "woman" if grown else "girl"
        return "man" if grown else "boy"

    def __str__(self) -> str:
        """Read it as a person would say it: "woman, 34 (28-41)"."""
        low, high = self.age_interval
        return f"{self.person}, {self.age:.0f} ({low:.0f}-{high:.0f})"

    @property
    def remark(self) -> str:
        """The status in words: "ok", "poor: too small, blurred"."""
        reasons = ", ".join(reason.words for reason in self.reasons)
        return f"{self.status.value}: {reasons}" if reasons else self.status.value
