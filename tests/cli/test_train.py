from pathlib import Path

import pytest
from typer.testing import CliRunner

from agelens.cli import extras
from agelens.cli.app import app
from agelens.errors import AgelensError, ConfigError, DatasetError, MissingExtra, TrainingError
from drawn import write_dataset

TINY = "tiny"


def train(*words: object) -> str:
    return (
        CliRunner()
        .invoke(app, ["train", *(str(word) for word in words)], catch_exceptions=False)
        .output
    )


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["--config", "none.toml"], ConfigError, "none.toml"),
        (["--config", TINY, "--set", "schedule.epochs=many"], ConfigError, "schedule.epochs"),
        (["--config", TINY, "--set", "model.sise=3"], ConfigError, "unknown key 'model.sise'"),
        (["--config", TINY, "--set", "name.x=3"], ConfigError, "'name' is a value"),
        (["--config", TINY], DatasetError, "is not a dataset folder"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, words: list[str], kind: type[AgelensError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        train(*words, "--data", tmp_path, "--run", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_change_without_a_value_is_a_usage_error(tmp_path: Path) -> None:
    said = train("--config", TINY, "--set", "epochs", "--data", tmp_path, "--run", tmp_path)
    assert "section.key=value" in said


def test_an_unknown_backbone_file_is_named_before_anything_is_written(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, 40)
    weights = f"model.weights='{tmp_path / 'none.safetensors'}'"
    with pytest.raises(TrainingError, match=r"none\.safetensors"):
        train("--config", TINY, "--set", weights, "--data", data, "--run", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_extra_says_what_to_install() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'agelens\[train\]'"):
        extras.need("train", "json", "no_such_package_anywhere")


def test_backbones_are_listed_and_got(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGELENS_BACKBONES", str(tmp_path))
    runner = CliRunner()
    said = runner.invoke(app, ["backbones", "list"]).stdout
    assert "faceres-deep" in said
    assert "CC0" in said
    assert "agelens backbones get faceres-deep" in said
    unknown = runner.invoke(app, ["backbones", "get", "vgg"])
    assert unknown.exit_code == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no"):
        runner.invoke(
            app,
            ["backbones", "get", "faceres-deep", "--from", str(tmp_path / "empty")],
            catch_exceptions=False,
        )
