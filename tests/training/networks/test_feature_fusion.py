from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from agelens.errors import ConfigError
from agelens.training.networks.layers import resize
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config, ModelConfig

SMALL = {"backbone": "scratch", "size": 32, "widths": [8, 16], "depths": [1, 1]}


def hybrid(*weights: Path, **more: object) -> ModelConfig:
    members = [{**SMALL, "size": 32 + 16 * i, "weights": str(w)} for i, w in enumerate(weights)]
    table = {"backbone": "hybrid", "size": 64, "members": members, **more}
    return Config.check({"model": table}, "drawn").model


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    files = []
    for seed in range(2):
        torch.manual_seed(seed)
        net = Network(Config.check({"model": SMALL}, "drawn").model)
        files.append(tmp_path / f"{seed}.safetensors")
        save_file(net.state_dict(), files[-1])
    return files


def test_it_has_the_features_of_its_members(runs: list[Path]) -> None:
    net = Network(hybrid(*runs)).eval()
    assert net.age.in_features == 32
    age, female = net(torch.randint(0, 256, (3, 200, 200, 3), dtype=torch.uint8))
    assert (age.shape, female.shape) == ((3, 117), (3,))
    for place, file in enumerate(runs):
        alone = Network(hybrid(file, frozen=1)).eval()
        x = torch.rand(2, 3, 64, 64) * 255
        part = net.backbone(x)[:, 16 * place : 16 * place + 16]
        # the sizes of the second member differ when it is alone
        if place == 0:
            assert torch.allclose(part, alone.backbone(x), atol=1e-5)


def test_each_member_matters(runs: list[Path]) -> None:
    net = Network(hybrid(*runs)).eval()
    x = torch.rand(2, 3, 64, 64) * 255
    before = net.backbone(x)
    with torch.no_grad():
        net.backbone.members[1].stages[0][0][0].weight.zero_()
    after = net.backbone(x)
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


def test_it_is_rebuilt_without_its_members_files(runs: list[Path]) -> None:
    config = hybrid(*runs)
    net = Network(config)
    for file in runs:
        file.unlink()
    again = Network(config, pretrained=False)
    again.load_state_dict(net.state_dict())


@pytest.mark.parametrize(
    "table", [{"backbone": "hybrid"}, {"backbone": "scratch", "members": [SMALL]}]
)
def test_members_belong_to_a_hybrid(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="members belong to the backbone hybrid"):
        Config.check({"model": table}, "drawn")


def test_members_beside_each_other_speak_as_they_are(runs: list[Path]) -> None:
    net = Network(hybrid(*runs, join="beside", frozen=2)).eval()
    assert net.features_frozen
    assert not Network(hybrid(*runs, frozen=2)).features_frozen  # its gates learn
    x = torch.rand(2, 3, 64, 64) * 255
    parts = [
        member(resize(x, size, padding)).mean((2, 3))
        for (size, padding), member in zip(net.backbone.views, net.backbone.members, strict=True)
    ]
    assert torch.equal(net.backbone(x)[:, :, 0, 0], torch.cat(parts, 1))


def test_join_is_for_hybrids() -> None:
    with pytest.raises(ConfigError, match="join belongs to the backbone hybrid"):
        Config.check({"model": {**SMALL, "join": "beside"}}, "drawn")


def test_padding_is_black_and_the_picture_keeps_its_place() -> None:
    x = torch.full((1, 3, 100, 100), 200.0)
    made = resize(x, 120, 0.1)
    assert made.shape == (1, 3, 120, 120)
    assert torch.equal(made[..., 10:110, 10:110], x)
    assert made.sum() == x.sum()


def test_a_member_sees_its_picture_padded() -> None:
    members = [{**SMALL, "padding": 0.25}, SMALL]
    table = {"backbone": "hybrid", "size": 64, "join": "beside", "members": members}
    net = Network(Config.check({"model": table}, "drawn").model).eval()
    x = torch.rand(2, 3, 64, 64) * 255
    framed = torch.nn.functional.pad(x, (16, 16, 16, 16))
    assert torch.equal(
        net.backbone.member_features(0, x), net.backbone.members[0](resize(framed, 32)).mean((2, 3))
    )
    assert not torch.allclose(
        net.backbone.member_features(0, x), net.backbone.member_features(1, x)
    )
