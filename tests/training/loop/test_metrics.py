import numpy as np
import pytest
import torch

from agelens.training.batches.loader import Batch
from agelens.training.loop.metrics import MetricAccumulator


def batch(ages: list[int], female: list[int]) -> Batch:
    chips = np.zeros((len(ages), 2, 2, 3), np.uint8)
    return Batch(np.arange(len(ages)), chips, np.array(ages), np.array(female))


def certain(ages: list[int]) -> torch.Tensor:
    return 50 * torch.nn.functional.one_hot(torch.tensor(ages), 117).float()


def test_figures_are_those_of_all_batches_together() -> None:
    metrics = MetricAccumulator()
    female = torch.tensor([-3.0, 2, -1])
    metrics.update(batch([20, 30, 40], [0, 1, 1]), certain([20, 32, 50]), female)
    metrics.update(batch([10], [0]), certain([6]), torch.tensor([-0.5]))
    assert metrics.compute("train") == {
        "train_mae": pytest.approx((0 + 2 + 10 + 4) / 4),
        "train_mae_of_mean": pytest.approx((0 + 2 + 10 + 4) / 4, abs=1e-5),
        "train_cs5": 0.75,
        "train_gender_accuracy": 0.75,
    }


def test_the_headline_is_of_the_median_and_takes_no_part_in_gradients() -> None:
    split = torch.full((1, 117), -50.0)
    split[0, [10, 80]] = torch.log(torch.tensor([0.6, 0.4]))
    split.requires_grad_()
    metrics = MetricAccumulator()
    metrics.update(batch([10], [1]), split, torch.zeros(1, requires_grad=True))
    figures = metrics.compute("validation")
    assert figures["validation_mae"] == pytest.approx(0.5 / 0.6 - 0.5, abs=1e-4)
    assert figures["validation_mae_of_mean"] == pytest.approx(28, abs=1e-3)
    assert MetricAccumulator().compute("validation") == {}
