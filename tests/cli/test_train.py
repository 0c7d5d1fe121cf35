from pathlib import Path

import pytest
from typer.testing import CliRunner

from agelens.cli import extras
from agelens.cli.app import app
from agelens.errors import AgelensError, ConfigError, DatasetError, MissingExtra, TrainingError
from agelens.training.recipes.config import Config
from drawn import write_dataset


def train(*words: object) -> str:
    return (
        CliRunner()
        .invoke(app, ["train", *(str(word) for word in words)], catch_exceptions=False)
        .output
    )


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["none.toml"], ConfigError, "none.toml"),
        (["tidy"], ConfigError, "unknown recipe 'tidy'.*did you mean 'tiny'"),
        (["tiny", "--set", "schedule.epochs=many"], ConfigError, "schedule.epochs"),
        (["tiny", "--set", "model.sise=3"], ConfigError, "unknown key 'model.sise'"),
        (["tiny", "--set", "name.x=3"], ConfigError, "'name' is a value"),
        (["tiny"], DatasetError, "is not a dataset folder"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, words: list[str], kind: type[AgelensError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        train(*words, "--data", tmp_path, "--run", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tiny", "--set", "epochs"], "section.key=value"),
        ([], "the name or file of one recipe"),
        (["tiny", "--config", "tiny"], "the name or file of one recipe"),
    ],
)
def test_wrong_usage_says_what_was_expected(tmp_path: Path, words: list[str], message: str) -> None:
    assert message in " ".join(train(*words, "--data", tmp_path).split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "tiny"], "--config is deprecated"),
        (["fused"], "the recipe 'fused' is now called 'concat'"),
        (["configs/tiny.toml"], "the recipe 'configs/tiny.toml' is now called 'tiny'"),
    ],
)
def test_old_ways_to_name_a_recipe_work_with_a_note(
    tmp_path: Path, words: list[str], message: str
) -> None:
    result = CliRunner().invoke(app, ["train", *words, "--data", str(tmp_path)])
    assert message in result.stderr
    assert "is not a dataset folder" in str(result.exception)


def test_a_missing_checkpoint_is_named_before_anything_is_written(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, 40)
    weights = f"model.weights='{tmp_path / 'none.safetensors'}'"
    with pytest.raises(TrainingError, match=r"none\.safetensors"):
        train("tiny", "--set", weights, "--data", data, "--run", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recipes_are_listed_and_shown_whole(tmp_path: Path) -> None:
    runner = CliRunner()
    listed = " ".join(runner.invoke(app, ["recipes"]).stdout.split())
    assert "finetune-distilled" in listed
    assert "Starts from finetune-distilled, dlib." in listed
    assert "4.16 94.4%" in listed
    mine = tmp_path / "mine.toml"
    mine.write_text(runner.invoke(app, ["recipes", "show", "fast"]).stdout)
    shown, fast = Config.read(mine), Config.read("fast")
    assert shown.name == "mine"
    assert shown.model_copy(update={"name": "fast"}) == fast


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
