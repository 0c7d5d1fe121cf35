"""The shape of every network here: backbone -> feature map -> features -> two heads."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agelens.errors import ConfigError
from agelens.inference.distribution import AGES
from agelens.training.networks import backbones, checkpoint
from agelens.training.networks.layers import Pooling, Standardise, resize
from agelens.training.recipes.config import Config, ModelConfig


class Network(nn.Module):
    """Predict the age as a distribution over the whole years 0 to 116, the gender as one logit."""

    def __init__(self, config: ModelConfig, *, pretrained: bool = True) -> None:
        """Build the network of a recipe; with `pretrained`, with the weights it starts from.

        Raises ConfigError for a size or a number of frozen stages that the backbone cannot have;
        see `backbones.build`.
        """
        super().__init__()
        self.size, self.padding = config.size, config.padding
        self.backbone = backbones.build(config, pretrained=pretrained)
        try:
            with torch.inference_mode():
                self.backbone.eval()(torch.zeros(1, 3, config.size, config.size))
        except RuntimeError as error:
            raise ConfigError(
                f"model.size = {config.size} does not suit {config.backbone}: {error}"
            ) from error
        self.backbone.train()
        self.pool = Pooling(self.backbone.num_features, config.pool)
        width = self.num_features = self.pool.num_features
        self.norm = Standardise(width) if config.standardise else nn.Identity()
        self.drop = nn.Dropout(config.feature_dropout)
        hidden = [nn.Linear(width, config.hidden), nn.ReLU()] if config.hidden else []
        width = config.hidden or width
        self.neck = nn.Sequential(*hidden, nn.Dropout(config.dropout))
        self.age = nn.Linear(width, AGES)
        self.gender = nn.Linear(width, 1)
        if pretrained and config.weights and config.weights != "hub":
            tensors, own = checkpoint.read_tensors(Path(config.weights))[0], self.state_dict()
            heads = {n: t for n, t in tensors.items() if n in own and not n.startswith("backbone.")}
            if all(own[name].shape == tensor.shape for name, tensor in heads.items()):
                self.load_state_dict(heads, strict=False)
        stages = list(self.backbone.stages)
        if config.frozen > len(stages):
            raise ConfigError(
                f"model.frozen = {config.frozen}: this backbone has {len(stages)} stages"
            )
        self._frozen_stages = stages[: config.frozen]
        for stage in self._frozen_stages:
            stage.requires_grad_(False)

    @classmethod
    def from_run(cls, run: Path) -> tuple["Network", Config, dict[str, Any]]:
        """Load the best checkpoint of a run folder, with its recipe and metadata."""
        tensors, about = checkpoint.load_best(run)
        config = Config.check(about["config"], str(run / "best.json"))
        network = cls(config.model, pretrained=False)
        network.load_state_dict(tensors)
        return network.eval().requires_grad_(False), config, about

    def train(self, mode: bool = True) -> "Network":
        """Switch to training mode; frozen stages keep their batch statistics too."""
        super().train(mode)
        for stage in self._frozen_stages:
            stage.eval()
        return self

    @property
    def features_frozen(self) -> bool:
        """Whether backbone and pooling are frozen, so that the features of a chip never change."""
        parameters = [*self.backbone.parameters(), *self.pool.parameters()]
        return not any(parameter.requires_grad for parameter in parameters)

    def preprocess(self, chips: Tensor) -> Tensor:
        """Turn uint8 (B, H, W, 3) RGB into float32 (B, 3, size, size) of 0 to 255."""
        return resize(chips.permute(0, 3, 1, 2).float(), self.size, self.padding)

    def extract_features(self, chips: Tensor) -> Tensor:
        """Turn uint8 (B, H, W, 3) RGB into features (B, num_features), which stay as they are."""
        if chips.ndim == 2:
            return chips.float()
        features: Tensor = self.pool(self.backbone(self.preprocess(chips)))
        return features

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """Turn chips, uint8 (B, H, W, 3) RGB, or their features into logits (B, 117) and (B,)."""
        features = self.neck(self.drop(self.norm(self.extract_features(chips))))
        return self.age(features), self.gender(features)[:, 0]


def expectation(logits: Tensor) -> Tensor:
    """Return the mean age in years, (B,), of age logits (B, 117)."""
    return logits.float().softmax(-1) @ torch.arange(logits.shape[-1], dtype=torch.float32)


def median(probabilities: Tensor) -> Tensor:
    """Return the median age in years, (B,), as `agelens.inference.distribution.median` does."""
    below = probabilities.cumsum(-1)
    k = (below < 0.5).sum(-1, keepdim=True).clamp(max=probabilities.shape[-1] - 1)
    mass = probabilities.gather(-1, k)
    into = (0.5 - (below.gather(-1, k) - mass)) / mass.clamp(min=1e-9)
    return (k - 0.5 + into)[:, 0].clamp(0, probabilities.shape[-1] - 1)
