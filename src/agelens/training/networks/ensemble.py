"""Ensembles: several networks predict, and an opinion pool combines their predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.training.networks.loss import age_targets

PoolingMethod = Literal["average", "stack"]


class OpinionPool(nn.Module):
    """Combine the logits of M members into one prediction.

    average: the weighted mean of the age distributions, each with a temperature of its own (a
    linear opinion pool). stack: the weighted sum of the logits (a logarithmic opinion pool; Genest
    and Zidek, 1986). The gender logit is a weighted sum of logits and a bias in both.
    """

    def __init__(self, members: int, method: PoolingMethod) -> None:
        super().__init__()
        self.method = method
        self.weight = nn.Parameter(torch.zeros(members))  # before a softmax over members
        self.sharpness = nn.Parameter(torch.zeros(members))  # log of 1 / temperature
        self.gender = nn.Parameter(torch.full((members,), 1 / members))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, age: Tensor, female: Tensor) -> tuple[Tensor, Tensor]:
        """Map age logits (M, B, 117) and female logits (M, B) to (B, 117) and (B,)."""
        weight = self.weight.softmax(0)[:, None, None]
        scaled = age * self.sharpness.exp()[:, None, None]
        logit = (self.gender[:, None] * female).sum(0) + self.bias
        if self.method == "stack":
            return (weight * scaled).sum(0), logit
        return (weight * scaled.softmax(-1)).sum(0).clamp(min=1e-12).log(), logit


class Ensemble(nn.Module):
    """Networks whose predictions a pool combines: age logits (B, 117), female logits (B,)."""

    def __init__(self, members: Sequence[nn.Module], pool: OpinionPool) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.pool = pool

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """Take uint8 (B, 200, 200, 3) RGB chips."""
        logits = [member(chips) for member in self.members]
        age, female = (torch.stack(part) for part in zip(*logits, strict=True))
        pooled: tuple[Tensor, Tensor] = self.pool(age, female)
        return pooled


@dataclass(frozen=True, slots=True, eq=False)
class MemberLogits:
    """The logits of M members for N labelled faces."""

    age: Tensor  # (M, N, 117)
    female: Tensor  # (M, N)
    age_labels: Tensor  # (N,) years
    female_labels: Tensor  # (N,) 0 or 1

    def members(self, indices: Sequence[int]) -> "MemberLogits":
        """Return the logits of some members."""
        rows = list(indices)
        return replace(self, age=self.age[rows], female=self.female[rows])

    def faces(self, mask: Tensor) -> "MemberLogits":
        """Return the logits for some faces; `mask` is bool (N,)."""
        return MemberLogits(
            self.age[:, mask], self.female[:, mask], self.age_labels[mask], self.female_labels[mask]
        )


def fit_pool(logits: MemberLogits, method: PoolingMethod, sigma: float = 1.0) -> OpinionPool:
    """Fit a pool on validation faces by L-BFGS.

    It minimises the cross-entropy to label distributions of `sigma` years, plus that of gender.
    """
    pool = OpinionPool(len(logits.age), method)
    target, female = age_targets(logits.age_labels, sigma), logits.female_labels.float()
    optimizer = torch.optim.LBFGS(pool.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        pooled, logit = pool(logits.age, logits.female)
        value: Tensor = -(target * pooled.log_softmax(-1)).sum(-1).mean()
        value = value + functional.binary_cross_entropy_with_logits(logit, female)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return pool.requires_grad_(False)


def cross_fit(logits: MemberLogits, half: Tensor, method: PoolingMethod) -> tuple[Tensor, Tensor]:
    """Predict each `half`, bool (N,), by a pool fitted on the other: logits (N, 117) and (N,)."""
    age, female = torch.empty_like(logits.age[0]), torch.empty_like(logits.female[0])
    for judged in (half, ~half):
        pool = fit_pool(logits.faces(~judged), method)
        part = logits.faces(judged)
        age[judged], female[judged] = pool(part.age, part.female)
    return age, female
