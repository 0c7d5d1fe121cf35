"""The hybrid as a vote: several networks keep their heads, and their answers are joined.

The few numbers that say how are fitted on the validation folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.training.networks.loss import age_targets

How = Literal["average", "stack"]


class Pooled(nn.Module):
    """Networks that answer together: age logits (B, 117) and female logits (B,)."""

    def __init__(self, members: Sequence[nn.Module], pool: "Pool") -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.pool = pool

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """Take uint8 (B, 200, 200, 3) RGB chips."""
        said = [member(chips) for member in self.members]
        joined: tuple[Tensor, Tensor] = self.pool(
            torch.stack([age for age, _ in said]), torch.stack([female for _, female in said])
        )
        return joined


class Pool(nn.Module):
    """How M members' logits become one answer.

    average: the mean of the members' distributions, each sharpened or softened by its own
    temperature, weighed. stack: the weighed sum of their logits (a product of experts;
    Genest and Zidek, 1986). Gender is the weighed sum of logits and a bias in both.
    """

    def __init__(self, members: int, how: How) -> None:
        super().__init__()
        self.how = how
        self.weight = nn.Parameter(torch.zeros(members))  # softmax of it, or scale over members
        self.sharpness = nn.Parameter(torch.zeros(members))  # log of 1 / temperature
        self.gender = nn.Parameter(torch.full((members,), 1 / members))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, age: Tensor, female: Tensor) -> tuple[Tensor, Tensor]:
        """Take age logits (M, B, 117) and female logits (M, B); give (B, 117) and (B,)."""
        share = self.weight.softmax(0)[:, None, None]
        scaled = age * self.sharpness.exp()[:, None, None]
        if self.how == "stack":
            pooled = (share * scaled).sum(0)
        else:
            pooled = (share * scaled.softmax(-1)).sum(0).clamp(min=1e-12).log()
        return pooled, (self.gender[:, None] * female).sum(0) + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What N faces are labelled."""

    ages: Tensor  # (N,) years
    female: Tensor  # (N,) 0 or 1


def fit(age: Tensor, female: Tensor, labels: Labels, how: How, sigma: float = 1.0) -> Pool:
    """Fit a pool on members' logits (M, N, 117) and (M, N) of validation faces.

    The 3 M + 1 numbers lower the cross-entropy to label distributions of `sigma` years and of
    gender (L-BFGS).
    """
    pool = Pool(len(age), how)
    target = age_targets(labels.ages, sigma)
    optimizer = torch.optim.LBFGS(pool.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        pooled, logit = pool(age, female)
        value: Tensor = -(target * pooled.log_softmax(-1)).sum(-1).mean()
        value = value + functional.binary_cross_entropy_with_logits(logit, labels.female.float())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return pool.requires_grad_(False)
