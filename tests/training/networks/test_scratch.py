import math

import pytest
import torch

from agelens.training.networks.scratch import ResidualBlock, ScratchResNet


@pytest.mark.parametrize("size", [32, 75, 100])
def test_a_map_for_any_size(size: int) -> None:
    net = ScratchResNet([8, 16, 24], [1, 2, 1]).eval()
    side = math.ceil(size / 16)  # the stem and three stages halve it
    assert net(torch.rand(2, 3, size, size) * 255).shape == (2, net.num_features, side, side)
    assert (net.num_features, len(net.stages)) == (24, 4)


def test_a_new_block_is_its_shortcut() -> None:
    block = ResidualBlock(8, 8, 1, 0.0).eval()
    x = torch.rand(2, 8, 5, 5)
    assert torch.allclose(block(x), x)


def test_stochastic_depth_drops_branches_only_while_training() -> None:
    block = ResidualBlock(4, 4, 1, 0.5)
    torch.nn.init.ones_(block.second[1].weight)
    x = torch.rand(64, 4, 6, 6)
    torch.manual_seed(0)
    kept = (block(x) != x).flatten(1).any(1).float().mean()
    assert 0.3 < kept < 0.7
    block.eval()
    assert torch.equal(block(x), block(x))


def test_every_parameter_gets_a_gradient() -> None:
    net = ScratchResNet([8, 16], [2, 1])
    for block in net.modules():
        if isinstance(block, ResidualBlock):
            torch.nn.init.ones_(block.second[1].weight)
    net(torch.rand(4, 3, 48, 48) * 255).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
