"""The training loss: how wrong an age distribution and a gender logit are."""

import torch
from torch import Tensor
from torch.nn import functional

from agelens.distribution import AGES
from agelens.training.config import LossConfig
from agelens.training.network import expectation


def age_targets(ages: Tensor, sigma: float) -> Tensor:
    """Give label distributions (B, 117): a normal curve of `sigma` years around each age.

    Label distribution learning (Geng et al., 2013). sigma 0 gives one-hot rows.
    """
    grid = torch.arange(AGES, dtype=torch.float32)
    if sigma == 0:
        return functional.one_hot(ages.long(), AGES).float()
    curve = torch.exp(-((grid - ages[:, None].float()) ** 2) / (2 * sigma**2))
    return curve / curve.sum(-1, keepdim=True)


def loss(
    age_logits: Tensor, female_logits: Tensor, ages: Tensor, female: Tensor, config: LossConfig
) -> Tensor:
    """Give the mean loss of a batch; ages in years (B,), female 0 or 1 (B,).

    Cross-entropy to the label distribution, plus the smooth L1 error of the expected age
    (which turns from square to linear at one year), plus gender cross-entropy.
    """
    target = age_targets(ages, config.sigma)
    total = -(target * age_logits.float().log_softmax(-1)).sum(-1).mean()
    if config.expectation:
        error = functional.smooth_l1_loss(expectation(age_logits), ages.float())
        total = total + config.expectation * error
    if config.gender:
        soft = female.float() * (1 - 2 * config.gender_smoothing) + config.gender_smoothing
        total = total + config.gender * functional.binary_cross_entropy_with_logits(
            female_logits.float(), soft
        )
    return total
