"""Small heads on the features of a frozen backbone, trained in seconds."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from agelens.inference.distribution import AGES
from agelens.training.networks.layers import Standardise
from agelens.training.networks.loss import Targets, batch_loss, face_losses, label_targets
from agelens.training.recipes.config import LossConfig

BATCH = 256


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Hyperparameters of a head and its training."""

    hidden: int = 512  # units between features and outputs; 0: no hidden layer
    dropout: float = 0.3  # before the outputs; half of it before the hidden layer
    epochs: int = 10
    rate: float = 1e-3  # maximum of a one-cycle schedule (Smith and Topin, 2019)
    decay: float = 0.05
    loss: LossConfig = field(default_factory=LossConfig)


class Head(nn.Module):
    """Map standardised features to 117 age logits and one female logit."""

    def __init__(self, features: Tensor, ages: Tensor, recipe: HeadRecipe) -> None:
        """Initialise from the training features (N, 2, F) and ages (N,)."""
        super().__init__()
        width, hidden = features.shape[-1], recipe.hidden
        self.norm = Standardise(width)
        self.norm.fit(features.flatten(0, 1).float())
        self.layers = nn.Sequential(nn.Dropout(recipe.dropout / 2))
        if hidden:
            self.layers.extend([nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(recipe.dropout)])
        last = nn.Linear(hidden or width, AGES + 1)
        self.layers.append(last)
        counts = torch.bincount(ages, minlength=AGES) + 1.0
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias[:AGES] = (counts / counts.sum()).log()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (B, F) to logits (B, 117) and (B,)."""
        logits = self.layers(self.norm(x.float()))
        return logits[:, :AGES], logits[:, AGES]


DEFAULT_RECIPE = HeadRecipe()


def train_head(
    features: Tensor,
    ages: Tensor,
    female: Tensor,
    seed: int,
    recipe: HeadRecipe = DEFAULT_RECIPE,
    teacher: Targets | None = None,
    weights: Tensor | None = None,
) -> Head:
    """Train a head on the features (N, 2, F) of chips and mirror images, one of both at random.

    `teacher` holds targets that `recipe.loss.teacher` mixes in, `weights` (N,) sample weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(features, ages, recipe)
        targets = label_targets(ages, female, recipe.loss)
        if teacher is not None:
            targets = targets.mix(teacher, recipe.loss.teacher)
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
                losses = face_losses(age_logits, female_logits, targets.take(picked), recipe.loss)
                if weights is not None:
                    losses = losses * weights[picked]
                optimizer.zero_grad(set_to_none=True)
                batch_loss(losses, recipe.loss.trim).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return head.eval()
