"""Accuracy of a network on labelled faces, accumulated batch by batch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agelens.evaluation import metrics
from agelens.inference import distribution
from agelens.training.batches.distributed import SINGLE_WORKER, Worker
from agelens.training.batches.loader import Batch


class MetricAccumulator:
    """Collect predictions for batches of faces, then compute the metrics of all of them."""

    def __init__(self) -> None:
        self._ages: list[NDArray[np.int64]] = []
        self._labels: list[NDArray[np.int64]] = []
        self._probabilities: list[NDArray[np.float32]] = []
        self._female: list[NDArray[np.float32]] = []

    def update(self, batch: Batch, age_logits: Tensor, female_logits: Tensor) -> None:
        """Add the predictions for a batch: age logits (B, 117), female logits (B,)."""
        with torch.no_grad():
            self._probabilities.append(age_logits.float().softmax(-1).numpy())
            self._female.append(female_logits.float().sigmoid().numpy())
        self._ages.append(batch.ages)
        self._labels.append(batch.female)

    def compute(self, part: str, worker: Worker = SINGLE_WORKER) -> dict[str, float]:
        """Return MAE, MAE of the mean, CS@5 and gender accuracy as `PART_mae` and so on.

        With several workers the metrics are those of all faces; without batches there are none.
        """
        if not self._ages:
            return {}
        probabilities = np.concatenate(self._probabilities)
        ages = worker.all_gather(np.concatenate(self._ages))
        median = worker.all_gather(distribution.median(probabilities))
        mean = worker.all_gather(distribution.mean(probabilities))
        female = worker.all_gather(np.concatenate(self._female))
        labels = worker.all_gather(np.concatenate(self._labels))
        return {
            f"{part}_mae": metrics.age_mae(median, ages),
            f"{part}_mae_of_mean": metrics.age_mae(mean, ages),
            f"{part}_cs5": metrics.cumulative_score(median, ages, 5),
            f"{part}_gender_accuracy": metrics.gender_accuracy(female, labels),
        }
