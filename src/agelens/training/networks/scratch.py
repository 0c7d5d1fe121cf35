"""A CNN that is trained from scratch: a small residual network (He et al., 2016).

Plain 3x3 convolutions run several times faster on a CPU than depthwise ones.
"""

import torch
from torch import Tensor, nn

from agelens.training.networks.layers import Backbone


def conv(inputs: int, outputs: int, stride: int = 1, gain: float = 1.0) -> nn.Sequential:
    """Return a 3x3 convolution with batch normalisation whose scale starts at `gain`."""
    norm = nn.BatchNorm2d(outputs)
    nn.init.constant_(norm.weight, gain)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), norm)


class SqueezeExcitation(nn.Module):
    """Weight each channel by a gate computed from its mean (Hu et al., 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, max(width // 8, 8))
        self.up = nn.Linear(self.down.out_features, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        weight = torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3))))))
        return x * weight[:, :, None, None]


class ResidualBlock(nn.Module):
    """A residual block of two convolutions, dropped at random in training (Huang et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int, drop: float) -> None:
        super().__init__()
        self.first = conv(inputs, outputs, stride)
        # gain 0: a block starts as its shortcut alone (Goyal et al., 2017)
        self.second = conv(outputs, outputs, gain=0.0)
        self.excite = SqueezeExcitation(outputs)
        self.drop = drop
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
        if inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, outputs, H / stride, W / stride)."""
        branch = self.excite(self.second(torch.relu(self.first(x))))
        if self.training and self.drop > 0:
            kept = torch.rand(len(x), 1, 1, 1) >= self.drop
            branch = branch * kept / (1 - self.drop)
        return torch.relu(branch + self.shortcut(x))


class ScratchResNet(Backbone):
    """Map RGB of 0 to 255, (B, 3, S, S), to a feature map of widths[-1] channels."""

    def __init__(self, widths: list[int], depths: list[int], drop_path: float = 0.0) -> None:
        super().__init__()
        self.num_features = widths[-1]
        drops = iter(torch.linspace(0, drop_path, sum(depths)).tolist())
        self.stages = nn.ModuleList([nn.Sequential(conv(3, widths[0], stride=2), nn.ReLU())])
        inputs = widths[0]
        for width, depth in zip(widths, depths, strict=True):
            first = ResidualBlock(inputs, width, 2, next(drops))
            rest = (ResidualBlock(width, width, 1, next(drops)) for _ in range(depth - 1))
            self.stages.append(nn.Sequential(first, *rest))
            inputs = width

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) of 0 to 255 to (B, num_features, H, W)."""
        x = (x - 120) / 64
        for stage in self.stages:
            x = stage(x)
        return x
