import numpy as np
import pytest
import torch

from agelens.training.networks.ensemble import Ensemble, MemberLogits, OpinionPool, fit_pool
from agelens.training.networks.network import expectation


def drawn(count: int = 600) -> MemberLogits:
    random = np.random.default_rng(0)
    ages, female = random.integers(10, 90, count), random.integers(0, 2, count)
    logits = []
    for error, width in ((4, 2), (8, 8)):
        centre = ages + random.normal(0, error, count)
        logits.append(-((np.arange(117) - centre[:, None]) ** 2) / (2 * width**2))
    informed = (2 * female - 1) * 2 + random.normal(0, 2, count)
    genders = np.stack([informed, random.normal(0, 1, count)])
    tensors = torch.tensor(np.stack(logits)).float(), torch.tensor(genders).float()
    return MemberLogits(*tensors, torch.tensor(ages), torch.tensor(female))


def test_a_new_pool_is_the_plain_mean() -> None:
    logits = drawn(5)
    pooled, logit = OpinionPool(2, "average")(logits.age, logits.female)
    assert torch.allclose(pooled.softmax(-1), logits.age.softmax(-1).mean(0), atol=1e-6)
    assert torch.allclose(logit, logits.female.mean(0))
    stacked, _ = OpinionPool(2, "stack")(logits.age, logits.female)
    assert torch.allclose(stacked, logits.age.mean(0))


@pytest.mark.parametrize("method", ["average", "stack"])
def test_a_fitted_pool_trusts_the_better_member_and_beats_it(method) -> None:
    logits = drawn()
    pool = fit_pool(logits, method)
    assert pool.gender[0] > 5 * abs(pool.gender[1])
    if method == "average":
        weight = pool.weight.softmax(0)
        assert weight[0] > weight[1]
    assert pool.sharpness[0] < 0  # it was overconfident
    pooled, _ = pool(logits.age, logits.female)

    def mae(age: torch.Tensor) -> float:
        return (expectation(age) - logits.age_labels).abs().mean().item()

    assert mae(pooled) < mae(logits.age[0]) < mae(logits.age[1])
    assert not any(p.requires_grad for p in pool.parameters())


def test_an_ensemble_pools_the_logits_of_its_members() -> None:
    class Fixed(torch.nn.Module):
        def __init__(self, age: int) -> None:
            super().__init__()
            self.logits = torch.zeros(117)
            self.logits[age] = 9.0

        def forward(self, chips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.logits.expand(len(chips), -1), torch.full((len(chips),), 2.0)

    net = Ensemble([Fixed(20), Fixed(60)], OpinionPool(2, "average"))
    age, female = net(torch.zeros(3, 200, 200, 3, dtype=torch.uint8))
    assert torch.allclose(expectation(age), torch.full((3,), 40.0), atol=1)
    assert torch.allclose(female, torch.full((3,), 2.0))
