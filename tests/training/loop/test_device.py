"""Training on a GPU, as far as a machine without one can tell."""

import pytest
import torch

from agelens.errors import TrainingError
from agelens.training.experiments.ray_workers import _gpus
from agelens.training.loop import device
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config, ModelConfig

TINY = "tiny"
RECIPES = {
    "scratch": {"pool": "attention"},
    "dlib": {"size": 150, "pool": "gem", "standardise": True},
    "faceres-deep": {"size": 96, "hidden": 8},
    "hybrid": {
        "frozen": 1,
        "members": [
            {"backbone": "scratch", "size": 32, "widths": [8, 16], "depths": [1, 1]},
            {"backbone": "dlib", "size": 150},
        ],
    },
}


def recipe(wanted: str) -> Config:
    return Config.read(TINY, {"run.device": wanted})


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose(recipe("auto")).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert device.choose(recipe("auto")) == torch.device("cuda", 1)
    assert device.choose(recipe("cpu")).type == "cpu"


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=r"run\.device = 'cuda': torch .* sees no GPU here"):
        device.choose(recipe("cuda"))


@pytest.mark.parametrize("backbone", RECIPES)
def test_a_network_that_was_moved_makes_nothing_elsewhere(backbone: str) -> None:
    """torch's "meta" device has shapes and no numbers; to mix it with another one raises."""
    config = ModelConfig.model_validate({"backbone": backbone, "size": 64, **RECIPES[backbone]})
    network = Network(config, start=False).to("meta")
    age, female = network(torch.zeros(4, 200, 200, 3, dtype=torch.uint8, device="meta"))
    assert (age.device.type, age.shape) == ("meta", (4, 117))
    assert (female.device.type, female.shape) == ("meta", (4,))
    (age.sum() + female.sum()).backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_each_of_several_workers_has_a_gpu_or_none_has() -> None:
    assert _gpus(recipe("auto"), 2, 2)
    assert not _gpus(recipe("auto"), 2, 1)
    assert not _gpus(recipe("cpu"), 2, 2)
    with pytest.raises(TrainingError, match="2 workers: the cluster has 1 GPUs"):
        _gpus(recipe("cuda"), 2, 1)
