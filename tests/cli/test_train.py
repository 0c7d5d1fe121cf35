import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.errors import ConfigError, DatasetError, TrainingError
from agelens.training.recipes.config import Config


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["none.toml"], ConfigError, "none.toml"),
        (["tidy"], ConfigError, "unknown recipe 'tidy'.*did you mean 'tiny'"),
        (["tiny", "--set", "schedule.epochs=many"], ConfigError, "schedule.epochs"),
        (["tiny", "--set", "model.sise=3"], ConfigError, "unknown key 'model.sise'"),
        (["tiny", "--set", "name.x=3"], ConfigError, "'name' is a value"),
        (["tiny"], DatasetError, "is not a dataset folder"),
        (["tiny", "--set", "epochs"], SystemExit, "section.key=value"),
        ([], SystemExit, "the name or file of one recipe"),
        (["tiny", "--config", "tiny"], SystemExit, "the name or file of one recipe"),
        (["--config", "tiny"], DatasetError, "--config is deprecated"),
        (["fused"], DatasetError, "the recipe 'fused' is now called 'concat'"),
        (["configs/tiny.toml"], DatasetError, "'configs/tiny.toml' is now called 'tiny'"),
    ],
)
def test_a_mistake_is_named_and_an_old_name_noted(tmp_path: Path, words, kind, message) -> None:
    options = ["--data", str(tmp_path), "--run", str(tmp_path / "run")]
    result = CliRunner().invoke(app, ["train", *words, *options])
    assert isinstance(result.exception, kind)
    assert re.search(message, " ".join(f"{result.output} {result.exception}".split()))
    assert not (tmp_path / "run").exists()


def test_recipes_are_listed_and_shown_whole(tmp_path: Path) -> None:
    runner = CliRunner()
    listed = " ".join(runner.invoke(app, ["recipes"]).stdout.split())
    for words in ("finetune-distilled", "Starts from finetune-distilled, dlib.", "4.17 94.3%"):
        assert words in listed
    mine = tmp_path / "mine.toml"
    mine.write_text(runner.invoke(app, ["recipes", "show", "fast"]).stdout)
    shown, fast = Config.read(mine), Config.read("fast")
    assert shown.name == "mine"
    assert shown.model_copy(update={"name": "fast"}) == fast


def test_backbones_are_listed_and_got(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGELENS_BACKBONES", str(tmp_path))
    runner = CliRunner()
    said = runner.invoke(app, ["backbones", "list"]).stdout
    for words in ("faceres-deep", "CC0", "agelens backbones get faceres-deep"):
        assert words in said
    assert runner.invoke(app, ["backbones", "get", "vgg"]).exit_code == 2
    (tmp_path / "empty").mkdir()
    words = ["backbones", "get", "faceres-deep", "--from", str(tmp_path / "empty")]
    with pytest.raises(TrainingError, match="holds no"):
        runner.invoke(app, words, catch_exceptions=False)
