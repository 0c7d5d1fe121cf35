"""The training loss: how wrong an age distribution and a gender logit are."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agelens.inference.distribution import AGES
from agelens.training.networks.network import expectation
from agelens.training.recipes.config import LossConfig


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What B answers should have been; labels, or a mixture of labels and other answers."""

    distribution: Tensor  # (B, 117), rows sum to 1
    age: Tensor  # (B,) years
    female: Tensor  # (B,) 0 to 1

    def mixed(self, other: "Targets", share: float) -> "Targets":
        """Give these targets with `share` (0 to 1) of the other's."""
        return Targets(
            self.distribution.lerp(other.distribution, share),
            self.age.lerp(other.age, share),
            self.female.lerp(other.female, share),
        )

    def at(self, order: Tensor) -> "Targets":
        """Give the targets of some faces, by place (int64)."""
        return Targets(self.distribution[order], self.age[order], self.female[order])


def age_targets(ages: Tensor, sigma: float) -> Tensor:
    """Give label distributions (B, 117): a normal curve of `sigma` years around each age.

    Label distribution learning (Geng et al., 2013). sigma 0 gives one-hot rows.
    """
    grid = torch.arange(AGES, dtype=torch.float32)
    if sigma == 0:
        return functional.one_hot(ages.long(), AGES).float()
    curve = torch.exp(-((grid - ages[:, None].float()) ** 2) / (2 * sigma**2))
    return curve / curve.sum(-1, keepdim=True)


def labelled(ages: Tensor, female: Tensor, config: LossConfig) -> Targets:
    """Give the targets that labels set; ages in years (B,), female 0 or 1 (B,)."""
    smooth = config.gender_smoothing
    return Targets(
        age_targets(ages, config.sigma), ages.float(), female.float() * (1 - 2 * smooth) + smooth
    )


def loss(age_logits: Tensor, female_logits: Tensor, targets: Targets, config: LossConfig) -> Tensor:
    """Give the loss of each face, (B,), of age logits (B, 117) and female logits (B,).

    The weighed sum of:
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
        cross = -(targets.distribution * logits.log_softmax(-1)).sum(-1)
        total = total + config.distribution * cross
    if config.expectation:
        error = functional.smooth_l1_loss(expectation(logits), targets.age, reduction="none")
        total = total + config.expectation * error
    if config.crps or config.ordinal:
        below = logits.softmax(-1).cumsum(-1)[:, :-1]
        wanted = targets.distribution.cumsum(-1)[:, :-1]
        total = total + config.crps * ((below - wanted) ** 2).sum(-1)
        if config.ordinal:
            cross = functional.binary_cross_entropy(
                below.clamp(1e-6, 1 - 1e-6), wanted.clamp(0, 1), reduction="none"
            )
            total = total + config.ordinal * cross.sum(-1)
    if config.variance:
        grid = torch.arange(AGES, dtype=torch.float32)
        mean = expectation(logits)[:, None]
        spread = (logits.softmax(-1) * (grid - mean) ** 2).sum(-1)
        total = total + config.variance * spread
    return total


def batch_loss(each: Tensor, trim: float) -> Tensor:
    """Give the mean of the losses of a batch, without the share `trim` of the largest.

    Faces that are hard to fit are often faces with a wrong label (the small-loss trick;
    Han et al., 2018).
    """
    kept = max(round(len(each) * (1 - trim)), 1)
    return each.mean() if kept == len(each) else each.sort().values[:kept].mean()
