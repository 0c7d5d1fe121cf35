import pytest

from agelens.training.loop import precision
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config, ModelConfig, RunConfig

MODEL = ModelConfig(size=32, widths=[8], depths=[1])


@pytest.mark.parametrize(("said", "bfloat16"), [("float32", False), ("bfloat16", True)])
def test_what_the_recipe_says_is_done(said: str, bfloat16: bool) -> None:
    config = Config(model=MODEL, run=RunConfig(precision=said))
    assert precision.choose(config, Network(MODEL)) is bfloat16


@pytest.mark.parametrize(("seconds", "chosen"), [(0.5, True), (0.99, False), (2.0, False)])
def test_auto_takes_the_faster(monkeypatch, seconds: float, chosen: bool) -> None:
    monkeypatch.setattr(precision, "step_seconds", lambda _, bfloat16: seconds if bfloat16 else 1.0)
    assert precision.choose(Config(model=MODEL), Network(MODEL)) is chosen


def test_a_timed_step_leaves_the_network_as_it_was() -> None:
    net = Network(MODEL)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert 0 < precision.step_seconds(net, bfloat16=False) < 60
    assert all((before[name] == tensor).all() for name, tensor in net.state_dict().items())
    assert net.training
    assert all(p.grad is None for p in net.parameters())
