"""How right a network is on labelled faces, gathered batch by batch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agelens.evaluation import metrics
from agelens.inference import distribution
from agelens.training.batches.distributed import ALONE, Share
from agelens.training.batches.loader import Batch


class Accuracy:
    """Gathers what a network says of batches of faces, and measures it at the end."""

    def __init__(self) -> None:
        self._ages: list[NDArray[np.int64]] = []
        self._labels: list[NDArray[np.int64]] = []
        self._spread: list[NDArray[np.float32]] = []
        self._female: list[NDArray[np.float32]] = []

    def add(self, batch: Batch, age_logits: Tensor, female_logits: Tensor) -> None:
        """Take the answers to a batch: age logits (B, 117), female logits (B,)."""
        with torch.no_grad():
            self._spread.append(age_logits.float().softmax(-1).numpy())
            self._female.append(female_logits.float().sigmoid().numpy())
        self._ages.append(batch.ages)
        self._labels.append(batch.female)

    def figures(self, part: str, share: Share = ALONE) -> dict[str, float]:
        """Give MAE, MAE of the mean, CS@5 and gender accuracy as `PART_mae` and so on.

        Of several workers: those of all. Without batches: nothing.
        """
        if not self._ages:
            return {}
        spread = np.concatenate(self._spread)
        ages = share.all(np.concatenate(self._ages))
        median = share.all(distribution.median(spread))
        figures = {
            "mae": metrics.age_mae(median, ages),
            "mae_of_mean": metrics.age_mae(share.all(distribution.mean(spread)), ages),
            "cs5": metrics.cumulative_score(median, ages, 5),
            "gender_accuracy": metrics.gender_accuracy(
                share.all(np.concatenate(self._female)), share.all(np.concatenate(self._labels))
            ),
        }
        return {f"{part}_{name}": value for name, value in figures.items()}
