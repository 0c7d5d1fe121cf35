import math

import pytest
import torch
from torch import Tensor

from agelens.training.networks.loss import age_targets, batch_loss, face_losses, label_targets
from agelens.training.recipes.config import LossConfig

NOTHING = dict.fromkeys(LossConfig.model_fields, 0.0)
AGES = torch.tensor([0, 30, 116])
FEMALE = torch.tensor([1, 0, 1])


def losses(logits: Tensor, ages: Tensor = AGES, **weights: float) -> Tensor:
    config = LossConfig(**{**NOTHING, **weights})
    targets = label_targets(ages, FEMALE[: len(ages)], config)
    return face_losses(logits, torch.zeros(len(ages)), targets, config)


def certain(*ages: int) -> Tensor:
    logits = torch.full((len(ages), 117), -80.0)
    logits[torch.arange(len(ages)), torch.tensor(ages)] = 80
    return logits


HALF_20_HALF_40 = (certain(20) + certain(40)) / 2


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0, 5.0])
def test_targets_are_distributions_about_the_age(sigma: float) -> None:
    target = age_targets(AGES, sigma)
    assert torch.allclose(target.sum(-1), torch.ones(3))
    assert target.argmax(-1).tolist() == [0, 30, 116]
    grid = torch.arange(117.0)
    assert (target[1] @ grid).item() == pytest.approx(30, abs=1e-4)
    assert (((grid - 30) ** 2) @ target[1]).item() == pytest.approx(sigma**2, rel=0.01)


def test_ignorance_costs_the_entropy() -> None:
    zero, per_age = torch.zeros(3, 117), math.log(117)
    assert losses(zero, distribution=1.0).tolist() == pytest.approx([per_age] * 3)
    both = losses(zero, distribution=1.0, gender=1.0)
    assert both.tolist() == pytest.approx([per_age + math.log(2)] * 3, rel=1e-6)


def test_the_expected_age_counts_in_years_and_variance_in_years_squared() -> None:
    each = losses(certain(5, 35, 115), expectation=1.0).tolist()
    assert each == pytest.approx([5 - 0.5, 5 - 0.5, 1 - 0.5], rel=1e-4)  # smooth L1
    variance = losses(HALF_20_HALF_40, torch.tensor([30]), variance=1.0).item()
    assert variance == pytest.approx(100, rel=1e-4)


def test_the_ranked_probability_score_is_what_theory_says() -> None:
    # of a certain prediction: the absolute error (Gneiting and Raftery, 2007)
    assert losses(certain(4, 30, 110), crps=1.0).tolist() == pytest.approx([4, 0, 6], abs=1e-5)
    # half and half: E|X - y| - E|X - X'| / 2 = 10 - 5
    assert losses(HALF_20_HALF_40, torch.tensor([30]), crps=1.0).item() == pytest.approx(5, 1e-5)


def test_the_ordinal_loss_is_least_at_the_labels_own_distribution() -> None:
    own = age_targets(AGES, 2.0).clamp(min=1e-9).log()
    best, *moved = (losses(own.roll(by, 1), ordinal=1.0, sigma=2.0)[1] for by in (0, -3, 3))
    assert min(moved) > best + 1


def test_trimming_leaves_the_largest_losses_out() -> None:
    each = torch.tensor([1.0, 2.0, 3.0, 100.0])
    assert batch_loss(each, 0.25).item() == pytest.approx(2.0)
    assert batch_loss(each, 0.0).item() == pytest.approx(26.5)


def test_mixed_targets_stay_distributions() -> None:
    target = label_targets(AGES, FEMALE, LossConfig())
    mixed = target.mix(target.take(torch.tensor([2, 0, 1])), 0.25)
    assert torch.allclose(mixed.distribution.sum(-1), torch.ones(3))
    assert mixed.age.tolist() == pytest.approx([0.25 * 116, 0.75 * 30, 0.75 * 116 + 0.25 * 30])


def test_the_loss_falls_on_the_way_to_the_labels() -> None:
    config = LossConfig()
    age, female = torch.zeros(3, 117, requires_grad=True), torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([age, female], lr=1.0)
    values = []
    for _ in range(60):
        value = face_losses(age, female, label_targets(AGES, FEMALE, config), config).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.6 * values[0]
    assert ((female > 0).long() == FEMALE).all()
    assert (age.argmax(-1) - AGES).abs().max() <= 1
