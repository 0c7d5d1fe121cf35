import platform
import resource

import numpy as np
import pytest
import torch

from agelens.errors import TrainingError
from agelens.training.experiments.ray_workers import _use_gpus
from agelens.training.networks import device
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config, ModelConfig, RunConfig
from processes import FORKSERVER

MODEL = ModelConfig(size=32, widths=[8], depths=[1])
RECIPES = {
    "scratch": {"pool": "attention"},
    "dlib": {"size": 150, "pool": "gem", "standardise": True},
    "faceres-deep": {"size": 96, "hidden": 8},
    "hybrid": {"frozen": 1, "members": [
        {"backbone": "scratch", "size": 32, "widths": [8, 16], "depths": [1, 1]},
        {"backbone": "dlib", "size": 150},
    ]},
}  # fmt: skip


def recipe(device: str) -> Config:
    return Config(model=MODEL, run=RunConfig(device=device))


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.select_device(recipe("auto")).type == "cpu"
    with pytest.raises(TrainingError, match=r"run\.device = 'cuda': torch .* sees no GPU here"):
        device.select_device(recipe("cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert device.select_device(recipe("auto")) == torch.device("cuda", 1)
    assert device.select_device(recipe("cpu")).type == "cpu"
    # each of several workers has one, or none has
    assert _use_gpus(recipe("auto"), 2, 2)
    assert not _use_gpus(recipe("auto"), 2, 1)
    assert not _use_gpus(recipe("cpu"), 2, 2)
    with pytest.raises(TrainingError, match="2 workers: the cluster has 1 GPUs"):
        _use_gpus(recipe("cuda"), 2, 1)


@pytest.mark.parametrize("backbone", RECIPES)
def test_a_moved_network_makes_no_tensors_on_another_device(backbone: str) -> None:
    # torch's "meta" device has shapes and no numbers; mixing it with another one raises.
    config = ModelConfig.model_validate({"backbone": backbone, "size": 64, **RECIPES[backbone]})
    network = Network(config, pretrained=False).to("meta")
    age, female = network(torch.zeros(4, 200, 200, 3, dtype=torch.uint8, device="meta"))
    assert (age.device.type, age.shape) == ("meta", (4, 117))
    assert (female.device.type, female.shape) == ("meta", (4,))
    (age.sum() + female.sum()).backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("precision", "seconds", "chosen"),
    [("float32", 0.5, False), ("bfloat16", 2.0, True),
     ("auto", 0.5, True), ("auto", 0.99, False), ("auto", 2.0, False)],
)  # fmt: skip
def test_the_precision_is_that_of_the_recipe_or_the_faster(
    monkeypatch: pytest.MonkeyPatch, precision: str, seconds: float, chosen: bool
) -> None:
    monkeypatch.setattr(device, "step_seconds", lambda _, bfloat16: seconds if bfloat16 else 1.0)
    config = Config(model=MODEL, run=RunConfig(precision=precision))
    assert device.use_bfloat16(config, Network(MODEL)) is chosen


def test_a_timed_step_does_not_change_the_network() -> None:
    net = Network(MODEL)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert 0 < device.step_seconds(net, bfloat16=False) < 60
    assert all((before[name] == tensor).all() for name, tensor in net.state_dict().items())
    assert net.training
    assert all(p.grad is None for p in net.parameters())


def page_faults() -> tuple[int, bool, int]:
    def allocate() -> int:
        np.ones(8_000_000)  # the first has to be allocated in any case
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            np.ones(8_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    return allocate(), device.keep_freed_memory(), allocate()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can keep freed memory")
def test_freed_memory_is_reused() -> None:
    with FORKSERVER.Pool(1) as pool:
        by_default, kept, after = pool.apply(page_faults)
    assert kept
    assert after < 1000
    assert by_default > 3 * after  # 64 MB allocated anew five times
