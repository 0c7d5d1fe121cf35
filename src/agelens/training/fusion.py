"""The hybrid as one network: the features of several backbones side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agelens.training.resize import resized


class Fusion(nn.Module):
    """The backbone: RGB 0 to 255, (B, 3, S, S), to the members' features side by side.

    Each member's features are normalised and weighed by a gate that sees all of them, so that
    the better member for a face can speak louder (gated fusion; Arevalo et al., 2017).
    """

    def __init__(self, members: Sequence[tuple[int, nn.Module]]) -> None:
        """Take each member's input size in pixels and its backbone."""
        super().__init__()
        self.sizes = [size for size, _ in members]
        self.members = nn.ModuleList([backbone for _, backbone in members])
        widths = [int(backbone.features) for _, backbone in members]  # type: ignore[arg-type]
        self.features = sum(widths)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for width in widths])
        self.gate = nn.Linear(self.features, len(widths))
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.stages = nn.ModuleList(self.members)  # `frozen` counts whole members

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, 3, S, S) of 0 to 255, give (B, features, 1, 1)."""
        parts = [
            norm(member(resized(x, size)).mean((2, 3)))
            for size, member, norm in zip(self.sizes, self.members, self.norms, strict=True)
        ]
        gates = 2 * torch.sigmoid(self.gate(torch.cat(parts, 1)))  # 1 at the start
        joined = torch.cat([part * gates[:, i : i + 1] for i, part in enumerate(parts)], 1)
        return joined[:, :, None, None]
