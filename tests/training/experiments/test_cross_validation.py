import json
import statistics
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.errors import TrainingError
from agelens.inference.runtime import Model
from drawn import write_dataset

TINY = "tiny"


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


class Ways:
    """Two recipes of which the second goes on from what the first made of each split."""

    def __init__(self, folder: Path) -> None:
        self.data = write_dataset(folder / "data", 100)
        self.folder, self.first, self.second = folder, folder / "first", folder / "second"
        common = ("--config", TINY, "--data", self.data, "--set", "schedule.epochs=2")
        run(*common, "--run", self.first, "--split", 0)
        self.before = self.model()
        self.said = run(*common, "--run", self.first, "--split", 0, "--split", 3)
        start = f"model.weights={self.first}/split-{{split}}/best.safetensors"
        on = ("--set", start, "--set", "name=on", "--set", "run.seed=1")
        run(*common, "--run", self.second, "--split", 3, *on)

    def model(self) -> tuple[bytes, int]:
        file = self.first / "split-0" / "model.onnx"
        return file.read_bytes(), file.stat().st_mtime_ns


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Ways:
    return Ways(tmp_path_factory.mktemp("ways"))


def test_two_splits_are_trained_measured_and_not_done_twice(ways: Ways) -> None:
    assert "s.d." in ways.said
    assert ways.model() == ways.before
    about = json.loads((ways.first / "protocol.json").read_text("utf-8"))
    first, second = about["splits"]
    assert (first["split"], second["split"]) == (0, 3)
    assert set(first["folds"]) == {8, 9}
    assert set(second["folds"]) == {3, 4}
    mean = statistics.fmean([first["age_mae"], second["age_mae"]])
    assert about["mean"]["age_mae"] == pytest.approx(mean)
    gap = abs(first["age_mae"] - second["age_mae"])
    assert about["standard_deviation"]["age_mae"] == pytest.approx(gap / 2**0.5)


def test_each_split_goes_on_from_its_own_start(ways: Ways) -> None:
    card = Model(ways.second / "split-3").card
    assert card["after"] == ["tiny"]
    about = json.loads((ways.second / "split-3" / "run.json").read_text("utf-8"))
    assert about["config"]["model"]["weights"] == f"{ways.first}/split-3/best.safetensors"
    recipe = json.loads((ways.second / "protocol.json").read_text("utf-8"))["recipe"]
    assert "{split}" in recipe["model"]["weights"]


def test_what_two_recipes_made_of_a_split_is_pooled(ways: Ways) -> None:
    pooled = ways.folder / "pooled"
    words = ["--combine", ways.first, "--combine", ways.second, "--data", ways.data]
    words += ["--run", pooled, "--split", 3]
    assert "first + second" in run(*words)
    about = json.loads((pooled / "protocol.json").read_text("utf-8"))
    assert about["members"] == [str(ways.first), str(ways.second)]
    made = json.loads((pooled / "split-3" / "run.json").read_text("utf-8"))
    assert made["members"] == [f"{ways.first}/split-3", f"{ways.second}/split-3"]
    assert Model(pooled / "split-3").card["data"]["split"] == 3
    evaluation = pooled / "split-3" / "evaluation-split3-test-flip"
    before = (made["made"], (evaluation / "evaluation.json").stat().st_mtime_ns)
    run(*words)  # nothing is done twice
    again = json.loads((pooled / "split-3" / "run.json").read_text("utf-8"))
    assert before == (again["made"], (evaluation / "evaluation.json").stat().st_mtime_ns)


def test_one_way_alone_cannot_be_pooled(tmp_path: Path) -> None:
    words = ["--data", tmp_path, "--run", tmp_path / "runs", "--combine", tmp_path]
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert isinstance(result.exception, TrainingError)
    assert "1 folder" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--config or --combine"),
        (("--config", TINY, "--combine", "a", "--combine", "b"), "--config or --combine"),
        (("--combine", "a", "--combine", "b", "--set", "name=n"), "--set changes a recipe"),
    ],
)
def test_either_a_recipe_or_members(tmp_path: Path, words: tuple[object, ...], said: str) -> None:
    common = ["benchmark", "--data", str(tmp_path), "--run", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, [*common, *map(str, words)])
    assert result.exit_code == 2
    assert said in result.output


def test_a_split_without_its_start_is_named(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    words = ["--config", TINY, "--data", data, "--run", tmp_path / "runs", "--split", 2]
    words += ["--set", "model.weights=none/split-{split}/best.safetensors"]
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert isinstance(result.exception, TrainingError)
    assert "none/split-2/best.safetensors" in str(result.exception)


def test_an_unknown_protocol_is_a_usage_error(tmp_path: Path) -> None:
    words = ["--config", TINY, "--data", tmp_path, "--run", tmp_path, "--protocol", "ten-fold"]
    assert CliRunner().invoke(app, ["benchmark", *map(str, words)]).exit_code == 2
