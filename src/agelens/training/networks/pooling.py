"""From the last feature map of a backbone to one row of features for each face."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["mean", "gem", "attention", "regions"]


class Pooling(nn.Module):
    """A map (B, C, H, W) to features (B, `features`).

    mean: over all places. gem: the generalised mean, whose power is learned (Radenović et
    al., 2019). attention: a mean whose weights the map itself chooses. regions: the mean of
    the whole beside those of its upper left, upper right, lower left and lower right parts.
    """

    def __init__(self, channels: int, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.features = 5 * channels if kind == "regions" else channels
        if kind == "gem":
            self.power = nn.Parameter(torch.tensor(2.0))
        if kind == "attention":
            self.score = nn.Conv2d(channels, 1, 1)
            nn.init.zeros_(self.score.weight)  # starts as the plain mean

    def forward(self, maps: Tensor) -> Tensor:
        """Take (B, C, H, W), give (B, features)."""
        if self.kind == "gem":
            raised = maps.float().clamp(min=1e-4).pow(self.power)
            pooled: Tensor = raised.mean((2, 3)).pow(1 / self.power)
            return pooled
        if self.kind == "attention":
            weight = self.score(maps).flatten(2).softmax(-1)
            attended: Tensor = (maps.flatten(2) * weight).sum(-1)
            return attended
        if self.kind == "regions":
            parts = functional.adaptive_avg_pool2d(maps, 2).flatten(1)
            return torch.cat([maps.mean((2, 3)), parts], 1)
        features: Tensor = maps.mean((2, 3))
        return features
