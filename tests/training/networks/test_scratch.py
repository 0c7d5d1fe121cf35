import torch

from agelens.training.networks.scratch import ResidualBlock, ScratchResNet


def test_a_map_for_any_size() -> None:
    net = ScratchResNet([8, 16, 24], [1, 2, 1]).eval()
    assert (net.num_features, len(net.stages)) == (24, 4)
    for size, side in ((32, 2), (75, 5), (100, 7)):  # the stem and three stages halve it
        assert net(torch.rand(2, 3, size, size) * 255).shape == (2, 24, side, side)


def test_a_new_block_is_its_shortcut_and_drops_branches_only_while_training() -> None:
    block, x = ResidualBlock(4, 4, 1, 0.5), torch.rand(64, 4, 6, 6)
    assert torch.allclose(block.eval()(x), x)
    torch.nn.init.ones_(block.train().second[1].weight)
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
