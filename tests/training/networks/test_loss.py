import math

import pytest
import torch

from agelens.training.networks.loss import age_targets, batch_loss, face_losses, label_targets
from agelens.training.recipes.config import LossConfig

PLAIN = LossConfig(sigma=0.0, expectation=0.0, gender=0.0, gender_smoothing=0.0)
AGES = torch.tensor([0, 30, 116])
FEMALE = torch.tensor([1, 0, 1])


def loss(age, female, ages, labels, config):
    """Give the mean loss of a batch of labelled faces."""
    return face_losses(age, female, label_targets(ages, labels, config), config).mean()


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0, 5.0])
def test_targets_are_distributions_about_the_age(sigma: float) -> None:
    target = age_targets(AGES, sigma)
    assert torch.allclose(target.sum(-1), torch.ones(3))
    assert target.argmax(-1).tolist() == [0, 30, 116]
    mean = target[1] @ torch.arange(117.0)
    assert mean.item() == pytest.approx(30, abs=1e-4)
    spread = ((torch.arange(117.0) - 30) ** 2) @ target[1]
    assert spread.item() == pytest.approx(sigma**2, rel=0.01)


def test_ignorance_costs_the_entropy_that_theory_says() -> None:
    zero = torch.zeros(3, 117)
    assert loss(zero, torch.zeros(3), AGES, FEMALE, PLAIN).item() == pytest.approx(math.log(117))
    gender = PLAIN.model_copy(update={"gender": 1.0})
    both = loss(zero, torch.zeros(3), AGES, FEMALE, gender).item()
    assert both == pytest.approx(math.log(117) + math.log(2), rel=1e-6)


def test_the_expected_age_counts_in_years() -> None:
    config = PLAIN.model_copy(update={"expectation": 1.0})
    logits = torch.full((3, 117), -40.0)
    logits[torch.arange(3), AGES.clamp(max=110) + 5] = 40  # sure, and five years off
    off = loss(logits, torch.zeros(3), AGES, FEMALE, config)
    plain = loss(logits, torch.zeros(3), AGES, FEMALE, PLAIN)
    errors = torch.tensor([5.0, 5.0, 1.0])  # 116 is met by 115
    expected = torch.where(errors < 1, errors**2 / 2, errors - 0.5).mean()
    assert (off - plain).item() == pytest.approx(expected.item(), rel=1e-4)


def test_it_falls_on_the_way_to_the_labels() -> None:
    config = LossConfig()
    age, female = torch.zeros(3, 117, requires_grad=True), torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([age, female], lr=1.0)
    values = []
    for _ in range(60):
        value = loss(age, female, AGES, FEMALE, config)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.6 * values[0]
    assert ((female > 0).long() == FEMALE).all()
    assert (age.argmax(-1) - AGES).abs().max() <= 1


def test_the_ranked_probability_score_is_what_theory_says() -> None:
    config = PLAIN.model_copy(update={"distribution": 0.0, "crps": 1.0})
    sure = torch.full((3, 117), -80.0)
    sure[torch.arange(3), torch.tensor([4, 30, 110])] = 80
    # of a sure answer: the absolute error (Gneiting and Raftery, 2007)
    each = face_losses(sure, torch.zeros(3), label_targets(AGES, FEMALE, config), config)
    assert each.tolist() == pytest.approx([4, 0, 6], abs=1e-5)
    two = torch.full((1, 117), -80.0)
    two[0, [20, 40]] = 0  # half and half, label 30: E|X - y| - E|X - X'| / 2 = 10 - 5
    target = label_targets(torch.tensor([30]), torch.tensor([0]), config)
    assert face_losses(two, torch.zeros(1), target, config).item() == pytest.approx(5, abs=1e-4)


def test_the_ordinal_loss_is_least_at_the_labels_own_distribution() -> None:
    config = PLAIN.model_copy(update={"distribution": 0.0, "ordinal": 1.0, "sigma": 2.0})
    target = label_targets(AGES, FEMALE, config)
    own = target.distribution.clamp(min=1e-9).log()
    at_best = face_losses(own, torch.zeros(3), target, config)
    for shift in (-3, 3):
        moved = face_losses(own.roll(shift, 1), torch.zeros(3), target, config)
        assert moved[1] > at_best[1] + 1


def test_variance_counts_years_squared() -> None:
    config = PLAIN.model_copy(update={"distribution": 0.0, "variance": 1.0})
    two = torch.full((1, 117), -80.0)
    two[0, [20, 40]] = 0
    target = label_targets(torch.tensor([30]), torch.tensor([0]), config)
    assert face_losses(two, torch.zeros(1), target, config).item() == pytest.approx(100, rel=1e-4)


def test_trimming_leaves_the_largest_losses_out() -> None:
    each = torch.tensor([1.0, 2.0, 3.0, 100.0])
    assert batch_loss(each, 0.25).item() == pytest.approx(2.0)
    assert batch_loss(each, 0.0).item() == pytest.approx(26.5)


def test_mixed_targets_stay_distributions() -> None:
    config = LossConfig()
    target = label_targets(AGES, FEMALE, config)
    order = torch.tensor([2, 0, 1])
    mixed = target.mix(target.take(order), 0.25)
    assert torch.allclose(mixed.distribution.sum(-1), torch.ones(3))
    assert mixed.age.tolist() == pytest.approx([0.25 * 116, 0.75 * 30, 0.75 * 116 + 0.25 * 30])
