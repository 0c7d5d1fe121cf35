import math

import pytest
import torch

from agelens.training.config import LossConfig
from agelens.training.loss import age_targets, loss

PLAIN = LossConfig(sigma=0.0, expectation=0.0, gender=0.0, gender_smoothing=0.0)
AGES = torch.tensor([0, 30, 116])
FEMALE = torch.tensor([1, 0, 1])


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
