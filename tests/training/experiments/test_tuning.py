from pathlib import Path

import pytest

from agelens.errors import ConfigError
from agelens.training.experiments import tuning
from agelens.training.recipes.config import Config
from runs import QUIET, history, tiny

RECIPE = tiny(schedule__epochs=2, model__widths=[8, 8])
SPACE = {
    "optimizer.rate": tuning.Range(low=1e-4, high=1e-1, log=True),
    "loss.gender": tuning.Range(choices=[0.5, 1.0]),
}


def test_the_best_of_a_study_is_a_recipe_and_it_goes_on(small_data: Path, tmp_path: Path) -> None:
    def tune(count: int) -> tuple[Path, list[dict[str, str]]]:
        best = tuning.tune(RECIPE, SPACE, small_data, tmp_path, count, QUIET)
        return best, history(tmp_path, "trials.csv")

    best, rows = tune(3)
    assert len(rows) == 3
    values = [float(row["validation_mae"]) for row in rows if row["state"] == "complete"]
    winner = next(row for row in rows if row["validation_mae"] == str(min(values)))
    found = Config.read(best)
    assert found.optimizer.rate == pytest.approx(float(winner["optimizer.rate"]))
    assert found.model == RECIPE.model
    assert (tmp_path / "history.svg").read_text("utf-8").startswith("<?xml")
    assert not list(tmp_path.rglob("*.safetensors"))
    assert tune(3)[1] == rows  # nothing left to do
    _, after = tune(5)
    assert (after[:3], len(after)) == (rows, 5)
    assert len({row["optimizer.rate"] for row in after}) == 5  # none is proposed twice


@pytest.mark.parametrize(
    ("space", "recipe"),
    [("space", "scratch"), ("space", "finetune"), ("space-frozen", "frozen-dlib")],
)
def test_a_shipped_space_is_found_by_name_and_fits_the_recipes(space: str, recipe: str) -> None:
    assert "optimizer.rate" in tuning.read_space(space, Config.read(recipe))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"optimizer.rte" = { low = 1, high = 2 }', r"unknown key 'optimizer\.rte'"),
        ('"optimzer.rate" = { low = 1, high = 2 }', "unknown key 'optimzer'"),
        ('"optimizer.rate" = { low = 2, high = 1 }', "low 2.0 is not below high 1.0"),
        ('"optimizer.rate" = { low = 0, high = 1, log = true }', "logarithmic"),
        ('"optimizer.rate" = { low = 1 }', "either low and high, or choices"),
        ('"optimizer.rate" = { low = -1, high = 1 }', r"optimizer\.rate = -1"),
        ("", "names no key"),
        ("[", "not a TOML file"),
    ],
)
def test_a_fault_in_a_space_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        tuning.read_space(path, RECIPE)
    with pytest.raises(ConfigError, match=r"unknown search space 'spce'.* space, space-frozen"):
        tuning.read_space("spce", RECIPE)
