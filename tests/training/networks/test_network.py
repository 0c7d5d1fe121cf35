from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from agelens.errors import ConfigError, TrainingError
from agelens.inference import distribution
from agelens.training.networks.layers import resize
from agelens.training.networks.network import Network, expectation, median
from agelens.training.recipes.config import Config, ModelConfig

SMALL = {"backbone": "scratch", "size": 32, "widths": [8, 16], "depths": [1, 1]}
X = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255


def model(**changes: object) -> ModelConfig:
    return Config.check({"model": {**SMALL, **changes}}, "drawn").model


def hybrid(*weights: Path, **more: object) -> ModelConfig:
    members = [{**SMALL, "size": 32 + 16 * i, "weights": str(w)} for i, w in enumerate(weights)]
    return model(**{"backbone": "hybrid", "size": 64, "members": members, **more})


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    for seed, file in enumerate(files):
        torch.manual_seed(seed)
        save_file(Network(model()).state_dict(), file)
    return files


def test_two_heads_for_chips_of_any_size_or_their_features() -> None:
    net = Network(model(hidden=12, frozen=3)).eval()
    assert net.age.in_features == 12
    for side in (32, 200):
        chips = torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8)
        age, female = net(chips)
        assert (age.shape, female.shape) == ((3, 117), (3,))
        features = net.extract_features(chips)
        assert features.shape == (3, net.num_features)
        assert all(map(torch.equal, net(features), (age, female)))
    assert net.features_frozen
    assert not Network(model()).features_frozen


def test_frozen_stages_have_no_gradients() -> None:
    for name, parameter in Network(model(frozen=2)).named_parameters():
        frozen = name.startswith(("backbone.stages.0", "backbone.stages.1"))
        assert parameter.requires_grad != frozen


def test_standardised_features_have_mean_0_and_spread_1() -> None:
    net = Network(model(standardise=True))
    seen = torch.randn(500, net.num_features) * 7 + 3
    net.norm.fit(seen)
    made = net.norm(seen)
    assert torch.allclose(made.mean(0), torch.zeros(net.num_features), atol=1e-4)
    assert torch.allclose(made.std(0), torch.ones(net.num_features), atol=1e-2)


def test_it_starts_from_another_run_or_a_bare_backbone(tmp_path: Path) -> None:
    first = Network(model())
    whole, bare = tmp_path / "best.safetensors", tmp_path / "backbone.safetensors"
    save_file(first.state_dict(), whole)
    save_file(first.backbone.state_dict(), bare)
    for file, parts in ((whole, ("backbone", "age", "gender")), (bare, ("backbone",))):
        other = Network(model(weights=str(file)))
        for name, tensor in first.state_dict().items():
            if name.startswith(parts):
                assert torch.equal(tensor, other.state_dict()[name]), (file, name)
    for change, why in (({"widths": [8, 24]}, "another shape"), ({"depths": [1, 2]}, "lacks")):
        with pytest.raises(TrainingError, match=why):
            Network(model(weights=str(whole), **change))


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


def test_a_hybrid_has_the_features_of_its_members(runs: list[Path]) -> None:
    net = Network(hybrid(*runs)).eval()
    assert net.age.in_features == 32
    alone = Network(hybrid(runs[0], frozen=1)).eval()
    before = net.backbone(X)
    assert torch.allclose(before[:, :16], alone.backbone(X), atol=1e-5)
    with torch.no_grad():
        net.backbone.members[1].stages[0][0][0].weight.zero_()
    after = net.backbone(X)
    assert torch.equal(before[:, :16], after[:, :16])
    assert not torch.allclose(before[:, 16:], after[:, 16:])
    for file in runs:
        file.unlink()
    rebuilt = Network(hybrid(*runs), pretrained=False)
    rebuilt.load_state_dict(net.state_dict())
    assert torch.equal(rebuilt.eval().backbone(X), after)


def test_frozen_members_keep_weights_and_statistics(runs: list[Path]) -> None:
    net = Network(hybrid(*runs, frozen=2)).train()
    before = {n: t.clone() for n, t in net.backbone.members.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    outputs = net(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8))
    sum(output.square().sum() for output in outputs).backward()
    optimizer.step()
    assert all(torch.equal(before[n], t) for n, t in net.backbone.members.state_dict().items())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"frozen": 9}, r"frozen = 9: this backbone has 3 stages"),
        ({"backbone": "dlib", "size": 64}, r"model\.size = 64 does not suit dlib"),
        ({"backbone": "hybrid"}, "members belong to the backbone hybrid"),
        ({"members": [SMALL]}, "members belong to the backbone hybrid"),
        ({"join": "beside"}, "join belongs to the backbone hybrid"),
    ],
)
def test_what_the_backbone_cannot_have_is_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Network(model(**table), pretrained=False)


def test_members_beside_each_other_are_concatenated_as_they_are(runs: list[Path]) -> None:
    net = Network(hybrid(*runs, join="beside", frozen=2)).eval()
    assert net.features_frozen
    assert not Network(hybrid(*runs, frozen=2)).features_frozen  # its gates learn
    parts = [
        member(resize(X, size, padding)).mean((2, 3))
        for (size, padding), member in zip(net.backbone.views, net.backbone.members, strict=True)
    ]
    assert torch.equal(net.backbone(X)[:, :, 0, 0], torch.cat(parts, 1))


def test_padding_is_black_and_a_member_sees_its_picture_padded() -> None:
    x = torch.full((1, 3, 100, 100), 200.0)
    assert torch.equal(resize(x, 120, 0.1), torch.nn.functional.pad(x, (10, 10, 10, 10)))
    members = [{**SMALL, "padding": 0.25}, SMALL]
    backbone = Network(hybrid(join="beside", members=members)).eval().backbone
    framed = torch.nn.functional.pad(X, (16, 16, 16, 16))
    expected = backbone.members[0](resize(framed, 32)).mean((2, 3))
    assert torch.equal(backbone.member_features(0, X), expected)
    assert not torch.allclose(backbone.member_features(1, X), expected)
