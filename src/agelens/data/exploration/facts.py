"""Everything that an exploration found, together."""

from dataclasses import dataclass

from agelens.data.exploration.balance import Balance
from agelens.data.exploration.class_weights import Imbalance
from agelens.data.exploration.label_statistics import LabelStatistics
from agelens.data.exploration.landmark_statistics import LandmarkStatistics
from agelens.data.exploration.picture_statistics import PictureStatistics
from agelens.data.exploration.shortcuts import Shortcuts


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found, the same in the page and in the JSON."""

    labels: LabelStatistics
    pixels: PictureStatistics
    shortcuts: Shortcuts
    shapes: LandmarkStatistics | None  # None where no landmarks were given
    imbalance: list[Imbalance]
    weights: str  # the scheme of weights.csv
    balance: Balance
