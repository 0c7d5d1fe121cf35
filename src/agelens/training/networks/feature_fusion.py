"""The hybrid as one network: the features of several backbones side by side."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from agelens.training.networks.resize import resized


class Fusion(nn.Module):
    """The backbone: RGB 0 to 255, (B, 3, S, S), to the members' features side by side.

    gated: each member's features are normalised and weighed by a gate that sees all of them, so
    that the better member for a face can speak louder (gated fusion; Arevalo et al., 2017).
    beside: they stand side by side as they are.
    """

    def __init__(
        self,
        members: Sequence[tuple[int, float, nn.Module]],
        join: Literal["gated", "beside"] = "gated",
    ) -> None:
        """Take each member's input size in pixels, the padding of its picture, and its backbone."""
        super().__init__()
        self.views = [(size, padding) for size, padding, _ in members]
        self.members = nn.ModuleList([backbone for _, _, backbone in members])
        widths = [int(backbone.features) for _, _, backbone in members]  # type: ignore[arg-type]
        self.features = sum(widths)
        self.join = join
        if join == "gated":
            self.norms = nn.ModuleList([nn.LayerNorm(width) for width in widths])
            self.gate = nn.Linear(self.features, len(widths))
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

    @property
    def stages(self) -> nn.ModuleList:
        """The members: `frozen` counts whole ones."""
        return self.members

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, 3, S, S) of 0 to 255, give (B, features, 1, 1)."""
        parts = [self.part(place, x) for place in range(len(self.members))]
        if self.join == "gated":
            parts = self._gated(parts)
        return torch.cat(parts, 1)[:, :, None, None]

    def part(self, place: int, x: Tensor) -> Tensor:
        """Take (B, 3, S, S) of 0 to 255, give the features of one member, (B, F)."""
        features: Tensor = self.members[place](resized(x, *self.views[place])).mean((2, 3))
        return features

    def _gated(self, parts: list[Tensor]) -> list[Tensor]:
        parts = [norm(part) for norm, part in zip(self.norms, parts, strict=True)]
        gates = 2 * torch.sigmoid(self.gate(torch.cat(parts, 1)))  # 1 at the start
        return [part * gates[:, i : i + 1] for i, part in enumerate(parts)]
