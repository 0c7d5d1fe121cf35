"""The one shape of every network here: backbone -> map -> features -> two heads."""

from pathlib import Path

import torch
from torch import Tensor, nn

from agelens.errors import ConfigError
from agelens.inference.distribution import AGES
from agelens.training.networks import checkpoint, pretrained
from agelens.training.networks.pooling import Pooling
from agelens.training.networks.resize import resized
from agelens.training.recipes.config import ModelConfig


class Network(nn.Module):
    """Age as a distribution over the whole years 0 to 116, gender as one logit."""

    def __init__(self, config: ModelConfig, *, start: bool = True) -> None:
        """Build from a recipe; with `start`, the backbone has the weights it starts from."""
        super().__init__()
        self.size, self.padding = config.size, config.padding
        self.backbone = pretrained.build(config, start=start)
        self._check_size(config)
        self.pool = Pooling(int(self.backbone.features), config.pool)  # type: ignore[arg-type]
        width = self.features = self.pool.features
        self.norm = Standardise(width) if config.standardise else nn.Identity()
        self.drop = nn.Dropout(config.feature_dropout)
        self.neck = nn.Sequential()
        if config.hidden:
            self.neck.append(nn.Linear(width, config.hidden))
            self.neck.append(nn.ReLU())
            width = config.hidden
        self.neck.append(nn.Dropout(config.dropout))
        self.age = nn.Linear(width, AGES)
        self.gender = nn.Linear(width, 1)
        if start and config.weights and config.weights != "hub":
            self._load_heads(Path(config.weights))
        self._still = self._freeze(config.frozen)

    def _load_heads(self, file: Path) -> None:
        """Take neck and heads too, where the file of the backbone's weights has the same."""
        tensors, _ = checkpoint.read_tensors(file)
        own = self.state_dict()
        heads = {n: t for n, t in tensors.items() if n in own and not n.startswith("backbone.")}
        if all(own[name].shape == tensor.shape for name, tensor in heads.items()):
            self.load_state_dict(heads, strict=False)

    def train(self, mode: bool = True) -> "Network":
        """Switch to training; what is frozen keeps its batch statistics too."""
        super().train(mode)
        for stage in self._still:
            stage.eval()
        return self

    def _check_size(self, config: ModelConfig) -> None:
        try:
            with torch.inference_mode():
                self.backbone.eval()(torch.zeros(1, 3, config.size, config.size))
        except RuntimeError as error:
            raise ConfigError(
                f"model.size = {config.size} does not suit {config.backbone}: {error}"
            ) from error
        self.backbone.train()

    def _freeze(self, stages: int) -> list[nn.Module]:
        known = list(self.backbone.stages)  # type: ignore[arg-type]
        if stages > len(known):
            raise ConfigError(f"model.frozen = {stages}: this backbone has {len(known)} stages")
        for stage in known[:stages]:
            stage.requires_grad_(False)
        return known[:stages]

    def prepare(self, chips: Tensor) -> Tensor:
        """Take uint8 (B, H, W, 3) RGB, give float32 (B, 3, size, size) of 0 to 255."""
        return resized(chips.permute(0, 3, 1, 2).float(), self.size, self.padding)

    def describe(self, chips: Tensor) -> Tensor:
        """Take uint8 (B, H, W, 3) RGB chips; give features (B, `features`).

        Features that were made before are given as they are.
        """
        if chips.ndim == 2:
            return chips.float()
        features: Tensor = self.pool(self.backbone(self.prepare(chips)))
        return features

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """Take uint8 (B, H, W, 3) RGB chips; give age logits (B, 117) and female logits (B,).

        Features (B, `features`) that `describe` gave before may stand in for their chips.
        """
        features = self.neck(self.drop(self.norm(self.describe(chips))))
        return self.age(features), self.gender(features)[:, 0]

    @property
    def still(self) -> bool:
        """Whether all that makes features is frozen, so that they never change."""
        before = [*self.backbone.parameters(), *self.pool.parameters()]
        return not any(parameter.requires_grad for parameter in before)


class Standardise(nn.Module):
    """Features of mean 0 and spread 1 over the training faces, which `fit` looks at."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, features: Tensor) -> None:
        """Take the features of training faces, (N, width)."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(1 / (features.std(0) + 1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Take and give (B, width)."""
        return (x - self.mean) * self.scale


def expectation(logits: Tensor) -> Tensor:
    """Give the mean age in years, (B,), of age logits (B, 117)."""
    ages = torch.arange(logits.shape[-1], dtype=torch.float32)
    return logits.float().softmax(-1) @ ages


def median(probabilities: Tensor) -> Tensor:
    """Give the median age in years, (B,), as `agelens.inference.distribution.median` defines it."""
    below = probabilities.cumsum(-1)
    k = (below < 0.5).sum(-1, keepdim=True).clamp(max=probabilities.shape[-1] - 1)
    mass = probabilities.gather(-1, k)
    into = (0.5 - (below.gather(-1, k) - mass)) / mass.clamp(min=1e-9)
    age = k - 0.5 + into
    return age[:, 0].clamp(0, probabilities.shape[-1] - 1)
