from pathlib import Path

import pytest

import recipe_records
from agelens.errors import ConfigError
from agelens.training.recipes import library
from agelens.training.recipes.config import Config


def write(folder: Path, **recipes: str) -> Path:
    for name, text in recipes.items():
        (folder / f"{name}.toml").write_text(text)
    return folder / f"{next(iter(recipes))}.toml"


def test_a_recipe_extends_another_value_by_value(tmp_path: Path) -> None:
    mine = write(tmp_path, mine='extends = "base"\n[optimizer]\nrate = 0.5',
                 base='extends = "tiny"\n[optimizer]\nbatch = 32\n[model]\nsize = 64')  # fmt: skip
    config, tiny = Config.read(mine), Config.read("tiny")
    assert config.name == "mine"
    assert (config.optimizer.rate, config.optimizer.batch, config.model.size) == (0.5, 32, 64)
    assert (config.model.widths, config.augment) == (tiny.model.widths, tiny.augment)
    of_its_name = write(tmp_path, tiny='extends = "tiny"\n[model]\nsize = 64')
    assert Config.read(of_its_name).model.size == 64


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ({"a": 'extends = "b"', "b": 'extends = "a"'}, "in a circle: a -> b -> a"),
        ({"a": 'extends = "finetunes"'}, "unknown recipe 'finetunes'.*did you mean 'finetune'"),
        ({"a": 'extends = "b.toml"'}, "'b.toml': no such file.*shipped name .*finetune"),
        ({"a": "extends = 3"}, "extends = 3: expected the name or path"),
        ({"a": '[model]\nweights = "recipe:b"', "b": '[model]\nweights = "recipe:a"'},
         "start from each other in a circle: a -> b -> a"),
        ({"a": '[model]\nweights = "recipe:nope"'}, "unknown recipe 'nope'"),
        ({"a": 'combine = ["tiny", "tidy"]'}, "unknown recipe 'tidy'.*did you mean 'tiny'"),
        ({"a": '[model]\nweights = "recipe:b"', "b": "[optimizer]\nrte = 1.0"},
         r"unknown key 'stages.b.optimizer.rte'; \[optimizer\] knows rate"),
    ],
)  # fmt: skip
def test_a_mistake_is_explained(tmp_path: Path, recipes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.read(write(tmp_path, **recipes))


def test_a_recipe_holds_every_stage_it_needs_in_order(tmp_path: Path) -> None:
    assert list(Config.read("hybrid").stages) == [
        "finetune", "finetune-distilled", "finetune-photo", "concat-photo", "frozen-dlib-tuned"
    ]  # fmt: skip
    assert list(Config.read("scratch-distilled-112-light").stages) == [
        "scratch-distilled", "scratch-distilled-112"
    ]  # fmt: skip
    # a stage may be written in the recipe
    text = 'combine = ["small", "tiny"]\n[stages.small]\nextends = "tiny"\nmodel.widths = [8, 8]'
    stages = Config.read(write(tmp_path, mine=text)).stages
    assert (stages["small"].model.widths, stages["tiny"]) == ([8, 8], Config.read("tiny"))


def test_changes_reach_the_stages_they_are_meant_for() -> None:
    changed = Config.read("finetune-distilled", {
        "optimizer.rate": 0.5, "run.threads": 3, "data.split": 2,
        "stages.finetune.schedule.epochs": 1,
    })  # fmt: skip
    stage = changed.stage("finetune")
    assert (changed.optimizer.rate, stage.optimizer.rate) == (0.5, 7e-4)
    assert (changed.run.threads, stage.run.threads) == (3, 3)
    assert (changed.data.split, stage.data.split) == (2, 2)
    assert (changed.schedule.epochs, stage.schedule.epochs) == (4, 1)
    assert stage.data.teacher is None
    every = Config.read("hybrid", {"schedule.epochs": 1}).stages.values()
    assert [one.schedule.epochs for one in every] == [1, 1, 1, 1, 1]
    with pytest.raises(ConfigError, match="unknown stage; expected one of finetune"):
        Config.read("finetune-distilled", {"stages.finetun.schedule.epochs": 1})


@pytest.mark.parametrize(("old", "new"), library.RENAMED.items())
def test_old_names_and_paths_still_work(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"'{old}' is now called '{new}'"):
        assert Config.read(old) == Config.read(new)
    assert library.renamed(f"configs/{old}.toml") == new
    assert library.renamed(new) is None


def test_the_shown_figures_are_those_of_the_recorded_runs() -> None:
    # Run benchmarks/recipe_records.py to write them again.
    assert recipe_records.RECORDED.read_text("utf-8") == recipe_records.recorded()
