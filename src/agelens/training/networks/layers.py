"""What a backbone is, and the layers around it: resizing, pooling, feature fusion, scaling."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def resize(x: Tensor, size: int, padding: float = 0.0) -> Tensor:
    """Pad (B, C, S, S) with black by the share `padding` of S, then resize to (B, C, size, size).

    The sampling points are those of OpenCV's linear warp, which makes the training chips.
    """
    if edge := round(x.shape[-1] * padding):
        x = functional.pad(x, (edge, edge, edge, edge))
    if x.shape[-1] == size:
        return x
    return functional.interpolate(x, (size, size), mode="bilinear", align_corners=False)


class Backbone(nn.Module):
    """Base of all backbones: RGB of 0 to 255, (B, 3, S, S), to a feature map (B, C, H, W)."""

    num_features: int  # C
    stages: nn.ModuleList  # what `model.frozen` and `optimizer.layer_decay` count


class FeatureFusion(Backbone):
    """Join the pooled features of several backbones into a map of one position.

    concat: the features are concatenated as they are. gated: they are normalised first, and
    weighted by a gate that sees the features of all members (Arevalo et al., 2017).
    """

    def __init__(
        self, members: Sequence[tuple[int, float, Backbone]], mode: Literal["gated", "concat"]
    ) -> None:
        """Take the input size in pixels, the padding and the backbone of each member."""
        super().__init__()
        self.views = [(size, padding) for size, padding, _ in members]
        self.members = nn.ModuleList([backbone for _, _, backbone in members])
        self.widths = [backbone.num_features for _, _, backbone in members]
        self.num_features = sum(self.widths)
        self.mode = mode
        if mode == "gated":
            self.norms = nn.ModuleList([nn.LayerNorm(width) for width in self.widths])
            self.gate = nn.Linear(self.num_features, len(members))
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

    @property
    def stages(self) -> nn.ModuleList:  # type: ignore[override]
        """The members: `model.frozen` counts whole ones."""
        return self.members

    def forward(self, x: Tensor) -> Tensor:
        """Map RGB of 0 to 255, (B, 3, S, S), to (B, num_features, 1, 1)."""
        parts = [self.member_features(index, x) for index in range(len(self.members))]
        if self.mode == "gated":
            parts = [norm(part) for norm, part in zip(self.norms, parts, strict=True)]
            gates = 2 * torch.sigmoid(self.gate(torch.cat(parts, 1)))  # 1 at the start
            parts = [part * gates[:, i : i + 1] for i, part in enumerate(parts)]
        return torch.cat(parts, 1)[:, :, None, None]

    def member_features(self, index: int, x: Tensor) -> Tensor:
        """Map RGB of 0 to 255, (B, 3, S, S), to the features of one member, (B, F)."""
        features: Tensor = self.members[index](resize(x, *self.views[index])).mean((2, 3))
        return features


class Pooling(nn.Module):
    """Pool a feature map (B, C, H, W) into one row of features per face (B, `num_features`).

    mean: over all positions. gem: the generalised mean with a learned power (Radenović et al.,
    2019). attention: a mean with weights computed from the map. regions: the mean of the map,
    followed by those of its four quadrants.
    """

    def __init__(self, channels: int, kind: Literal["mean", "gem", "attention", "regions"]) -> None:
        super().__init__()
        self.kind = kind
        self.num_features = 5 * channels if kind == "regions" else channels
        if kind == "gem":
            self.power = nn.Parameter(torch.tensor(2.0))
        if kind == "attention":
            self.score = nn.Conv2d(channels, 1, 1)
            nn.init.zeros_(self.score.weight)  # starts as the plain mean

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, num_features)."""
        if self.kind == "gem":
            raised = maps.float().clamp(min=1e-4).pow(self.power)
            return raised.mean((2, 3)).pow(1 / self.power)
        if self.kind == "attention":
            weight = self.score(maps).flatten(2).softmax(-1)
            attended: Tensor = (maps.flatten(2) * weight).sum(-1)
            return attended
        features = maps.mean((2, 3))
        if self.kind == "regions":
            quadrants = functional.adaptive_avg_pool2d(maps, 2).flatten(1)
            features = torch.cat([features, quadrants], 1)
        return features


class Standardise(nn.Module):
    """Scale features to mean 0 and standard deviation 1 over the training faces."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, features: Tensor) -> None:
        """Estimate mean and scale from the features of training faces, (N, width)."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(1 / (features.std(0) + 1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width) to (B, width)."""
        return (x - self.mean) * self.scale
