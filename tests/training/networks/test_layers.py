from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from agelens.errors import ConfigError
from agelens.training.networks.layers import resize
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config, ModelConfig

SMALL = {"backbone": "scratch", "size": 32, "widths": [8, 16], "depths": [1, 1]}
X = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255


def hybrid(*weights: Path, **more: object) -> ModelConfig:
    members = [{**SMALL, "size": 32 + 16 * i, "weights": str(w)} for i, w in enumerate(weights)]
    return model(backbone="hybrid", size=64, **{"members": members, **more})


def model(**table: object) -> ModelConfig:
    return Config.check({"model": table}, "drawn").model


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    files = []
    for seed in range(2):
        torch.manual_seed(seed)
        net = Network(model(**SMALL))
        files.append(tmp_path / f"{seed}.safetensors")
        save_file(net.state_dict(), files[-1])
    return files


def test_a_hybrid_has_the_features_of_its_members(runs: list[Path]) -> None:
    net = Network(hybrid(*runs)).eval()
    assert net.age.in_features == 32
    age, female = net(torch.randint(0, 256, (3, 200, 200, 3), dtype=torch.uint8))
    assert (age.shape, female.shape) == ((3, 117), (3,))
    alone = Network(hybrid(runs[0], frozen=1)).eval()
    before = net.backbone(X)
    assert torch.allclose(before[:, :16], alone.backbone(X), atol=1e-5)
    with torch.no_grad():
        net.backbone.members[1].stages[0][0][0].weight.zero_()
    after = net.backbone(X)
    assert torch.equal(before[:, :16], after[:, :16])
    assert not torch.allclose(before[:, 16:], after[:, 16:])


def test_frozen_members_keep_weights_and_statistics(runs: list[Path]) -> None:
    net = Network(hybrid(*runs, frozen=2)).train()
    before = {n: t.clone() for n, t in net.backbone.members.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    age, female = net(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8))
    (age.square().sum() + female.square().sum()).backward()
    optimizer.step()
    assert all(torch.equal(before[n], t) for n, t in net.backbone.members.state_dict().items())


def test_a_hybrid_is_rebuilt_without_the_files_of_its_members(runs: list[Path]) -> None:
    config = hybrid(*runs)
    net = Network(config)
    for file in runs:
        file.unlink()
    Network(config, pretrained=False).load_state_dict(net.state_dict())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"backbone": "hybrid"}, "members belong to the backbone hybrid"),
        ({**SMALL, "members": [SMALL]}, "members belong to the backbone hybrid"),
        ({**SMALL, "join": "beside"}, "join belongs to the backbone hybrid"),
    ],
)
def test_members_and_join_are_for_hybrids(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model(**table)


def test_members_beside_each_other_are_concatenated_as_they_are(runs: list[Path]) -> None:
    net = Network(hybrid(*runs, join="beside", frozen=2)).eval()
    assert net.features_frozen
    assert not Network(hybrid(*runs, frozen=2)).features_frozen  # its gates learn
    parts = [
        member(resize(X, size, padding)).mean((2, 3))
        for (size, padding), member in zip(net.backbone.views, net.backbone.members, strict=True)
    ]
    assert torch.equal(net.backbone(X)[:, :, 0, 0], torch.cat(parts, 1))


def test_padding_is_black_and_the_picture_keeps_its_place() -> None:
    x = torch.full((1, 3, 100, 100), 200.0)
    assert torch.equal(resize(x, 120, 0.1), torch.nn.functional.pad(x, (10, 10, 10, 10)))


def test_a_member_sees_its_picture_padded() -> None:
    members = [{**SMALL, "padding": 0.25}, SMALL]
    backbone = Network(hybrid(join="beside", members=members)).eval().backbone
    framed = torch.nn.functional.pad(X, (16, 16, 16, 16))
    expected = backbone.members[0](resize(framed, 32)).mean((2, 3))
    assert torch.equal(backbone.member_features(0, X), expected)
    assert not torch.allclose(backbone.member_features(1, X), expected)
