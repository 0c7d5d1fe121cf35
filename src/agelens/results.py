"""The result types: gender, box, landmarks, detected face, status with reasons, prediction.

Coordinates are pixels with the origin at the top left. The "right eye" is the person's, so it is on
the left in the picture. Ages are in years, probabilities from 0 to 1.
"""

import json
import warnings
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Gender(StrEnum):
    """The appearance label of the training data; not a statement about a person's identity."""

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

    def intersection(self, other: "Box") -> float:
        """Return the square pixels shared with another box."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0 and high > 0 else 0.0

    def overlap(self, other: "Box") -> float:
        """Return the intersection over union with another box, 0 to 1."""
        shared = self.intersection(other)
        return shared / (self.area + other.area - shared) if shared else 0.0


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The five landmarks of a face, each (x, y) in pixels."""

    right_eye: tuple[float, float]
    left_eye: tuple[float, float]
    nose: tuple[float, float]
    right_mouth: tuple[float, float]
    left_mouth: tuple[float, float]

    def array(self) -> NDArray[np.float64]:
        """Return the landmarks as float64 (5, 2), in the order of the fields."""
        return np.array(astuple(self), np.float64)

    @classmethod
    def from_array(cls, points: NDArray[np.floating]) -> "Landmarks":
        """Build from float (5, 2) in the order of the fields; other shapes raise ValueError."""
        if points.shape != (5, 2):
            raise ValueError(f"landmarks of shape {points.shape}: expected (5, 2)")
        return cls(*map(tuple, points.astype(float).tolist()))


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face."""

    box: Box
    landmarks: Landmarks
    score: float  # 0 to 1, the detector's confidence


class Status(StrEnum):
    """How reliable a prediction is."""

    OK = "ok"
    UNSURE = "unsure"  # the face is clearly visible, but the model is uncertain
    POOR = "poor"  # the face is too poorly visible

    @property
    def words(self) -> str:
        """The status as shown to people: "ok", "unsure", "poorly visible"."""
        return "poorly visible" if self is Status.POOR else self.value


class Reason(StrEnum):
    """Why a prediction is unsure or poor."""

    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    DARK = "dark"
    BRIGHT = "bright"
    CUT_OFF = "cut_off"  # by the picture's edge
    UNLIKE = "unlike"  # out of distribution, though none of the above applies
    AGE_UNCLEAR = "age_unclear"
    GENDER_UNCLEAR = "gender_unclear"

    @property
    def words(self) -> str:
        """The reason as shown to people: "too small", "too dark", "age unclear"."""
        return _REASON_WORDS.get(self, self.value.replace("_", " "))


_REASON_WORDS = {
    Reason.DARK: "too dark",
    Reason.BRIGHT: "too bright",
    Reason.CUT_OFF: "cut off by the edge of the picture",
    Reason.UNLIKE: "unusual face: covered, masked, or not a face",
}


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The model's answer about one face."""

    age: float  # years, median of the distribution
    age_interval: tuple[int, int]  # low <= age in whole years <= high 9 times in 10
    age_probabilities: NDArray[np.float32]  # (117,), one for each whole age, sum 1
    gender: Gender | None  # None where neither reaches the gender threshold
    female_probability: float  # 0 to 1
    box: Box | None  # None where the input was an aligned chip
    landmarks: Landmarks | None  # None where the input was an aligned chip
    detection_score: float | None  # 0 to 1; None where the input was an aligned chip
    status: Status = Status.OK
    reasons: tuple[Reason, ...] = ()  # empty where the status is ok
    error_probability: float = 0.0  # 0 to 1: age off by over 10 years, or gender wrong

    @property
    def doubt(self) -> float:
        """Deprecated name of `error_probability`."""
        message = "Prediction.doubt is deprecated: use Prediction.error_probability"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.error_probability

    def p_over(self, years: float) -> float:
        """Return the probability, 0 to 1, that the person has reached an age: `p_over(18)`.

        Ages count in completed years, as in the labels. The mass of each year is spread evenly
        over it, so `p_over(17.5)` lies between `p_over(17)` and `p_over(18)`.
        """
        p = np.asarray(self.age_probabilities, np.float64)
        share = np.clip(np.arange(1, len(p) + 1) - years, 0, 1)  # of each year's mass
        return min(1.0, float((p * share).sum() / p.sum()))

    def to_dict(self, *, distribution: bool = False) -> dict[str, Any]:
        """Return plain values for JSON: years to 0.01, pixels to 0.1, probabilities to 1e-4.

        `error_probability` stands under the key `doubt`. `distribution` adds
        `age_probabilities`, 117 numbers to 1e-5.
        """
        face: dict[str, Any] = {
            "age": round(self.age, 2),
            "age_interval": list(self.age_interval),
            "gender": self.gender and self.gender.value,
            "female_probability": round(self.female_probability, 4),
            "status": self.status.value,
            "reasons": [reason.value for reason in self.reasons],
            "doubt": round(self.error_probability, 4),
            "box": self.box and [round(v, 1) for v in astuple(self.box)],
            "landmarks": self.landmarks
            and [[round(v, 1) for v in point] for point in astuple(self.landmarks)],
            "detection_score": self.detection_score and round(self.detection_score, 4),
        }
        if distribution:
            face["age_probabilities"] = [round(float(p), 5) for p in self.age_probabilities]
        return face

    def to_json(self, *, distribution: bool = False) -> str:
        """Return `to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(distribution=distribution))

    @property
    def person(self) -> str:
        """One word for the person: woman, man, girl, boy, or person, young person, child.

        Adults are 18 or older. The neutral words stand where the gender is missing or unclear,
        as it often is for small children.
        """
        adult = self.p_over(18) >= 0.5
        if self.gender is None or Reason.GENDER_UNCLEAR in self.reasons:
            return "person" if adult else "child" if self.age < 13 else "young person"
        words = ("woman", "girl") if self.gender is Gender.FEMALE else ("man", "boy")
        return words[0] if adult else words[1]

    def __str__(self) -> str:
        """Return a short description: "woman, 34 (28-41)"."""
        low, high = self.age_interval
        return f"{self.person}, {self.age:.0f} ({low:.0f}-{high:.0f})"

    @property
    def remark(self) -> str:
        """The status in words: "ok", "poorly visible (too small; blurred)"."""
        reasons = "; ".join(reason.words for reason in self.reasons)
        return f"{self.status.words} ({reasons})" if reasons else self.status.words
