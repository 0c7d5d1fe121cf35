from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from agelens.errors import ConfigError, TrainingError
from agelens.inference import distribution
from agelens.training.networks.network import Network, expectation, median
from agelens.training.recipes.config import ModelConfig

SMALL = ModelConfig(size=32, widths=[8, 16], depths=[1, 1])


def test_two_heads_for_chips_of_any_size() -> None:
    net = Network(SMALL).eval()
    for side in (32, 200):
        age, female = net(torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8))
        assert age.shape == (3, 117)
        assert female.shape == (3,)


def test_a_hidden_layer_and_frozen_stages() -> None:
    net = Network(SMALL.model_copy(update={"hidden": 12, "frozen": 2}))
    assert net.age.in_features == 12
    frozen = ("backbone.stages.0", "backbone.stages.1")
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad != name.startswith(frozen)


def test_features_may_stand_in_for_their_chips() -> None:
    net = Network(SMALL.model_copy(update={"hidden": 12, "frozen": 3})).eval()
    assert net.features_frozen
    assert not Network(SMALL).features_frozen
    chips = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    features = net.extract_features(chips)
    assert features.shape == (4, net.num_features)
    assert all(map(torch.equal, net(features), net(chips)))


def test_standardised_features_have_mean_0_and_spread_1() -> None:
    net = Network(SMALL.model_copy(update={"standardise": True}))
    seen = torch.randn(500, net.num_features) * 7 + 3
    net.norm.fit(seen)
    made = net.norm(seen)
    assert torch.allclose(made.mean(0), torch.zeros(net.num_features), atol=1e-4)
    assert torch.allclose(made.std(0), torch.ones(net.num_features), atol=1e-2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SMALL.model_copy(update={"frozen": 9}), r"frozen = 9: this backbone has 3 stages"),
        (ModelConfig(backbone="dlib", size=64), r"model\.size = 64 does not suit dlib"),
    ],
)
def test_what_the_backbone_cannot_have_is_named(config: ModelConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Network(config, pretrained=False)


def test_it_starts_from_another_run_or_a_bare_backbone(tmp_path: Path) -> None:
    first = Network(SMALL)
    whole, bare = tmp_path / "best.safetensors", tmp_path / "backbone.safetensors"
    save_file(first.state_dict(), whole)
    save_file(first.backbone.state_dict(), bare)
    for file, parts in ((whole, ("backbone", "age", "gender")), (bare, ("backbone",))):
        other = Network(SMALL.model_copy(update={"weights": str(file)}))
        for name, tensor in first.state_dict().items():
            if name.startswith(parts):
                assert torch.equal(tensor, other.state_dict()[name]), (file, name)


@pytest.mark.parametrize(
    ("change", "message"), [({"widths": [8, 24]}, "another shape"), ({"depths": [1, 2]}, "lacks")]
)
def test_weights_that_do_not_fit_are_named(tmp_path: Path, change: dict, message: str) -> None:
    file = tmp_path / "best.safetensors"
    save_file(Network(SMALL).state_dict(), file)
    config = SMALL.model_copy(update={"weights": str(file), **change})
    with pytest.raises(TrainingError, match=message):
        Network(config)


def test_expectation_and_median_of_one_age() -> None:
    ages = torch.tensor([30, 116])
    logits = 100.0 * torch.nn.functional.one_hot(ages, 117)
    assert torch.allclose(expectation(logits), ages.float())
    assert torch.allclose(median(logits.softmax(-1)), ages.float(), atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-8, 8, width=32), min_size=117, max_size=117))
def test_the_median_is_the_one_that_users_get(logits: list[float]) -> None:
    probabilities = torch.tensor([logits]).softmax(-1)
    ours = median(probabilities)[0].item()
    theirs = float(distribution.median(probabilities.numpy().astype(np.float64))[0])
    assert ours == pytest.approx(theirs, abs=5e-3)
