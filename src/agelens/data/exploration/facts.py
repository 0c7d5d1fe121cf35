"""Everything that an exploration found, as JSON holds it, and shares as people read them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from agelens.data.exploration.balance import Balance, Imbalance
from agelens.data.exploration.label_statistics import LabelStatistics
from agelens.data.exploration.landmark_statistics import LandmarkStatistics
from agelens.data.exploration.picture_statistics import PictureStatistics, Shortcuts


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


def as_json(value: Any) -> Any:
    """Convert to what `json` writes: five significant digits, None for NaN and infinity."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, float):
        short = float(f"{value:.5g}") if np.isfinite(value) else None
        return value if short is not None and not np.isfinite(short) else short
    return value


def percent(share: float) -> str:
    """Write a share (0 to 1), to 0.1 below 10 % and above 90 %; never rounded to 0 or 100 %."""
    value = 100 * share
    if 0 < value < 0.05:
        return "under 0.1 %"
    if 99.95 <= value < 100:
        return "over 99.9 %"
    return f"{value:.1f} %" if 0 < value < 9.95 or 90 < value < 100 else f"{value:.0f} %"
