"""Everything that an exploration found, together."""

from dataclasses import dataclass

from agelens.data.explore.balance import Balance
from agelens.data.explore.labels import Labels
from agelens.data.explore.pixels import Pixels
from agelens.data.explore.shapes import Shapes
from agelens.data.explore.shortcuts import Shortcuts
from agelens.data.explore.weights import Imbalance


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found, the same in the page and in the JSON."""

    labels: Labels
    pixels: Pixels
    shortcuts: Shortcuts
    shapes: Shapes | None  # None where no landmarks were given
    imbalance: list[Imbalance]
    weights: str  # the scheme of weights.csv
    balance: Balance
