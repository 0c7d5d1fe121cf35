"""Heads on the features of a frozen backbone, trained in seconds."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from agelens.inference.distribution import AGES
from agelens.training.networks.loss import Targets, batch_loss, labelled, loss
from agelens.training.recipes.config import LossConfig

BATCH = 256


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """How a head is made and trained."""

    hidden: int = 512  # units between features and answers; 0: none
    dropout: float = 0.3  # before the answers; half of it before the hidden units
    epochs: int = 10
    rate: float = 1e-3  # largest of a one-cycle schedule (Smith and Topin, 2019)
    decay: float = 0.05
    loss: LossConfig = field(default_factory=LossConfig)


class Head(nn.Module):
    """Standardised features -> 117 age logits and one of gender."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: Tensor, ages: Tensor, recipe: HeadRecipe) -> None:
        """Take the training features (N, 2, F) and ages (N,), for where to start."""
        super().__init__()
        flat = features.flatten(0, 1).float()
        self.register_buffer("mean", flat.mean(0))
        self.register_buffer("scale", 1 / (flat.std(0) + 1e-3))
        width = features.shape[-1]
        self.layers = nn.Sequential(nn.Dropout(recipe.dropout / 2))
        if recipe.hidden:
            self.layers.append(nn.Linear(width, recipe.hidden))
            self.layers.append(nn.ReLU())
            self.layers.append(nn.Dropout(recipe.dropout))
            width = recipe.hidden
        last = nn.Linear(width, AGES + 1)
        self.layers.append(last)
        counts = torch.bincount(ages, minlength=AGES) + 1.0
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias[:AGES] = (counts / counts.sum()).log()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take (B, F), give logits (B, 117) and (B,)."""
        logits = self.layers((x.float() - self.mean) * self.scale)
        return logits[:, :AGES], logits[:, AGES]


STANDARD = HeadRecipe()


def train_head(
    features: Tensor,
    ages: Tensor,
    female: Tensor,
    seed: int,
    recipe: HeadRecipe = STANDARD,
    teacher: Targets | None = None,
    weights: Tensor | None = None,
) -> Head:
    """Train a head on features (N, 2, F); each face is seen as chip or mirror image by chance.

    `teacher` are answers for the N faces, mixed into the labels by `recipe.loss.teacher`;
    `weights` (N,) say how much each face counts.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(features, ages, recipe)
        targets = labelled(ages, female, recipe.loss)
        if teacher is not None:
            targets = targets.mixed(teacher, recipe.loss.teacher)
        optimizer = torch.optim.AdamW(head.parameters(), recipe.rate, weight_decay=recipe.decay)
        batches = -(-len(ages) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.rate, total_steps=recipe.epochs * batches, pct_start=0.15
        )
        for _ in range(recipe.epochs):
            order = torch.randperm(len(ages))
            side = torch.randint(2, (len(ages),))
            for start in range(0, len(ages), BATCH):
                picked = order[start : start + BATCH]
                age_logits, female_logits = head(features[picked, side[picked]])
                each = loss(age_logits, female_logits, targets.at(picked), recipe.loss)
                if weights is not None:
                    each = each * weights[picked]
                optimizer.zero_grad(set_to_none=True)
                batch_loss(each, recipe.loss.trim).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return head.eval()
