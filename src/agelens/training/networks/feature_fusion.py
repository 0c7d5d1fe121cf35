"""Feature fusion: one network on the features of several backbones."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from agelens.training.networks.layers import Backbone, resize


class FeatureFusion(Backbone):
    """Join the pooled features of several backbones.

    concat: the features are concatenated as they are. gated: each member's features are
    normalised first and weighted by a gate that sees the features of all members (gated fusion;
    Arevalo et al., 2017).
    """

    def __init__(
        self,
        members: Sequence[tuple[int, float, Backbone]],
        mode: Literal["gated", "concat"] = "gated",
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
