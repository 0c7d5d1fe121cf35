import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.errors import ConfigError
from agelens.training.recipes import library
from agelens.training.recipes.config import Config

PLANS = sorted((Path(__file__).parents[3] / "benchmarks" / "plans").glob("*.toml"))
RESOLVED = json.loads(Path(__file__).with_name("resolved.json").read_text("utf-8"))


@pytest.mark.parametrize("name", library.names())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    config = Config.read(name)
    assert (config.name, Config.check(config.table(), "again")) == (name, config)
    assert library.summary(name).endswith(".")


@pytest.mark.parametrize("name", RESOLVED)
def test_bases_resolve_to_the_recorded_values(name: str) -> None:
    table = Config.read(name).table()
    table.pop("stages", None)
    assert table == Config.check(RESOLVED[name], name).table()  # with keys that are newer


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.stem)
def test_every_ablation_is_a_valid_recipe(plan: Path) -> None:
    table = tomllib.loads(plan.read_text("utf-8"))
    base = Config.read(table["recipe"], table["shared"])
    assert len(table["trials"]) >= 8
    for name, trial in table["trials"].items():
        varied = Config.read(table["recipe"], {**table["shared"], **trial["set"]})
        assert varied != base, f"{name} changes nothing"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[optimizer]\nrte = 1e-3", r"unknown key 'optimizer.rte'.*\[optimizer\] knows rate"),
        ("epochs = 3", "unknown key 'epochs'.*the recipe knows name, model"),
        ("[schedule]\nepochs = 'ten'", "schedule.epochs = 'ten': input should be a valid integer"),
        ("[schedule]\nepochs = 0", "schedule.epochs = 0: .*greater than or equal to 1"),
        ("[optimizer]\nrate = -1.0", "optimizer.rate = -1.0: .*greater than 0"),
        ("[model]\nbackbone = 'vgg'", "model.backbone = 'vgg'"),
        ("[model]\nwidths = [8]\ndepths = [1, 1]", "widths has 1 stages and depths 2"),
        ("[model]\nsize = 100.5", "model.size = 100.5"),
        ("[data]\nsplit = 5", "data.split = 5: .*less than or equal to 4"),
        ("[run", "not a TOML file"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        Config.read(path)


def test_the_split_is_put_into_the_names_of_files() -> None:
    model = {"backbone": "hybrid", "members": [{"backbone": "dlib", "weights": "{split}/a"}]}
    recipe = Config.check({"model": model, "data": {"teacher": "t-{split}"}}, "test")
    filled = recipe.changed({"data.split": 3}, "test").filled()
    assert (filled.data.split, filled.data.teacher) == (3, "t-3")
    assert (filled.model.members[0].weights, recipe.filled().data.teacher) == ("3/a", "t-0")
    assert (recipe.data.teacher, filled.filled()) == ("t-{split}", filled)


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.booleans(), max_size=4))
def test_any_table_gives_a_config_or_a_config_error(table: dict[str, object]) -> None:
    try:
        Config.check(table, "generated")
    except ConfigError as error:
        assert "generated" in str(error)
