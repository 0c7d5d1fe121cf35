"""The training loss of an age distribution and a gender logit."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from agelens.inference.distribution import AGES
from agelens.training.networks.network import expectation
from agelens.training.recipes.config import LossConfig


class Targets(NamedTuple):
    """Targets of B faces: their labels, or a mixture of labels and a teacher's predictions."""

    distribution: Tensor  # (B, 117), rows sum to 1
    age: Tensor  # (B,) years
    female: Tensor  # (B,) 0 to 1

    def mix(self, other: "Targets", share: float) -> "Targets":
        """Interpolate towards other targets by `share`, 0 to 1."""
        return Targets(*(ours.lerp(it, share) for ours, it in zip(self, other, strict=True)))

    def take(self, indices: Tensor) -> "Targets":
        """Return the targets of some faces, by index (int64)."""
        return Targets(*(part[indices] for part in self))


def age_targets(ages: Tensor, sigma: float) -> Tensor:
    """Return label distributions (B, 117): a normal curve of `sigma` years around each age.

    See Geng et al., 2013. With sigma 0 rows are one-hot.
    """
    if sigma == 0:
        return functional.one_hot(ages.long(), AGES).float()
    curve = torch.exp(-((torch.arange(AGES) - ages[:, None].float()) ** 2) / (2 * sigma**2))
    return curve / curve.sum(-1, keepdim=True)


def label_targets(ages: Tensor, female: Tensor, config: LossConfig) -> Targets:
    """Return the targets of labels: ages in years (B,), female 0 or 1 (B,)."""
    smoothed = female.float() * (1 - 2 * config.gender_smoothing) + config.gender_smoothing
    return Targets(age_targets(ages, config.sigma), ages.float(), smoothed)


def face_losses(
    age_logits: Tensor, female_logits: Tensor, targets: Targets, config: LossConfig
) -> Tensor:
    """Return the loss of each face, (B,), for age logits (B, 117) and female logits (B,).

    The loss is the weighted sum of:
    distribution: cross-entropy to the target distribution;
    expectation: smooth L1 error of the expected age, square below one year;
    crps: squared distance of the cumulative distributions (Gneiting and Raftery, 2007);
    ordinal: cross-entropy of "older than k" (Niu et al., 2016), read off the distribution;
    variance: of the distribution (with `expectation` the mean-variance loss; Pan et al., 2018);
    gender: cross-entropy.
    """
    logits = age_logits.float()
    total = config.gender * functional.binary_cross_entropy_with_logits(
        female_logits.float(), targets.female, reduction="none"
    )
    if config.distribution:
        cross_entropy = -(targets.distribution * logits.log_softmax(-1)).sum(-1)
        total = total + config.distribution * cross_entropy
    if config.expectation:
        error = functional.smooth_l1_loss(expectation(logits), targets.age, reduction="none")
        total = total + config.expectation * error
    if config.crps or config.ordinal:
        below = logits.softmax(-1).cumsum(-1)[:, :-1]
        wanted = targets.distribution.cumsum(-1)[:, :-1]
        total = total + config.crps * ((below - wanted) ** 2).sum(-1)
        if config.ordinal:
            older = functional.binary_cross_entropy(
                below.clamp(1e-6, 1 - 1e-6), wanted.clamp(0, 1), reduction="none"
            )
            total = total + config.ordinal * older.sum(-1)
    if config.variance:
        squares = (torch.arange(AGES) - expectation(logits)[:, None]) ** 2
        total = total + config.variance * (logits.softmax(-1) * squares).sum(-1)
    return total


def batch_loss(each: Tensor, trim: float) -> Tensor:
    """Average the losses of a batch, without the largest (the share `trim`; Han et al., 2018)."""
    kept = max(round(len(each) * (1 - trim)), 1)
    return each.mean() if kept == len(each) else each.sort().values[:kept].mean()
