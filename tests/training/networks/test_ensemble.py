import numpy as np
import pytest
import torch

from agelens.training.networks.ensemble import Labels, Pool, Pooled, fit
from agelens.training.networks.network import expectation


def drawn(count: int = 600) -> tuple[torch.Tensor, torch.Tensor, Labels]:
    """Two members: the first errs by 4 years and is too sure, the second errs by 8."""
    random = np.random.default_rng(0)
    ages = random.integers(10, 90, count)
    female = random.integers(0, 2, count)
    grid = np.arange(117)
    logits = []
    for error, width in ((4, 2), (8, 8)):
        centre = ages + random.normal(0, error, count)
        logits.append(-((grid - centre[:, None]) ** 2) / (2 * width**2))
    sure = (2 * female - 1) * 2 + random.normal(0, 2, count)
    guess = random.normal(0, 1, count)
    return (
        torch.tensor(np.stack(logits), dtype=torch.float32),
        torch.tensor(np.stack([sure, guess]), dtype=torch.float32),
        Labels(torch.tensor(ages), torch.tensor(female)),
    )


def test_a_new_pool_is_the_plain_mean() -> None:
    age, female, _ = drawn(5)
    pooled, logit = Pool(2, "average")(age, female)
    assert torch.allclose(pooled.softmax(-1), age.softmax(-1).mean(0), atol=1e-6)
    assert torch.allclose(logit, female.mean(0))
    stacked, _ = Pool(2, "stack")(age, female)
    assert torch.allclose(stacked, age.mean(0))


@pytest.mark.parametrize("how", ["average", "stack"])
def test_fitting_trusts_the_better_member_and_beats_it(how) -> None:
    age, female, labels = drawn()
    pool = fit(age, female, labels, how)
    assert pool.gender[0] > 5 * abs(pool.gender[1])
    strength = pool.weight.softmax(0) * (pool.sharpness.exp() if how == "stack" else 1)
    if how == "average":
        assert strength[0] > strength[1]
    assert pool.sharpness[0] < 0  # it was too sure
    pooled, _ = pool(age, female)

    def mae(logits: torch.Tensor) -> float:
        return (expectation(logits) - labels.ages).abs().mean().item()

    assert mae(pooled) < mae(age[0]) < mae(age[1])
    assert not any(p.requires_grad for p in pool.parameters())


def test_pooled_networks_answer_together() -> None:
    class Fixed(torch.nn.Module):
        def __init__(self, place: int) -> None:
            super().__init__()
            self.logits = torch.zeros(117)
            self.logits[place] = 9.0

        def forward(self, chips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.logits.expand(len(chips), -1), torch.full((len(chips),), 2.0)

    net = Pooled([Fixed(20), Fixed(60)], Pool(2, "average"))
    age, female = net(torch.zeros(3, 200, 200, 3, dtype=torch.uint8))
    assert torch.allclose(expectation(age), torch.full((3,), 40.0), atol=1)
    assert torch.allclose(female, torch.full((3,), 2.0))
