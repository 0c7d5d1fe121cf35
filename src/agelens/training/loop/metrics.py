"""Predictions of a network for labelled faces, and their accuracy."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from agelens.evaluation import metrics
from agelens.inference import distribution
from agelens.training.batches.distributed import SINGLE_WORKER, Worker
from agelens.training.batches.loader import Batch, Loader


def predict(
    network: nn.Module, faces: Loader, progress: Progress, title: str
) -> tuple[Tensor, Tensor]:
    """Return a network's age logits (N, 117) and female logits (N,) for all faces, in order."""
    task = progress.add_task(title, total=len(faces))
    outputs = []
    with torch.no_grad():  # not inference mode, whose tensors cannot be fitted on
        for batch in faces.in_order():
            outputs.append(network(torch.from_numpy(batch.chips)))
            progress.advance(task)
    progress.remove_task(task)
    age, female = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    return age, female


def accuracy(
    part: str, probabilities: NDArray[np.floating], female: NDArray[np.floating],
    ages: NDArray[np.int64], labels: NDArray[np.int64],
) -> dict[str, float]:  # fmt: skip
    """Return MAE, MAE of the mean, CS@5 and gender accuracy as `PART_mae` and so on.

    Takes age probabilities (N, 117), female probabilities (N,), ages in years and labels, 0 or 1.
    """
    median = distribution.median(probabilities)
    return {
        f"{part}_mae": metrics.age_mae(median, ages),
        f"{part}_mae_of_mean": metrics.age_mae(distribution.mean(probabilities), ages),
        f"{part}_cs5": metrics.cumulative_score(median, ages, 5),
        f"{part}_gender_accuracy": metrics.gender_accuracy(female, labels),
    }


class MetricAccumulator:
    """Collect predictions for batches of faces, then compute the accuracy of all of them."""

    def __init__(self) -> None:
        self._batches: list[tuple[NDArray[Any], ...]] = []

    def update(self, batch: Batch, age_logits: Tensor, female_logits: Tensor) -> None:
        """Add the predictions for a batch: age logits (B, 117), female logits (B,)."""
        probabilities = age_logits.detach().float().softmax(-1).numpy()
        female = female_logits.detach().float().sigmoid().numpy()
        self._batches.append((probabilities, female, batch.ages, batch.female))

    def compute(self, part: str, worker: Worker = SINGLE_WORKER) -> dict[str, float]:
        """Return the figures of `accuracy` for all faces of all workers; none without batches."""
        if not self._batches:
            return {}
        columns = zip(*self._batches, strict=True)
        probabilities, *rest = (worker.all_gather(np.concatenate(parts)) for parts in columns)
        return accuracy(part, probabilities, *rest)
