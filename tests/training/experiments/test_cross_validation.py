import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.errors import TrainingError
from agelens.inference.runtime import Model
from agelens.training.export import exporter

TINY = "tiny"


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


class Runs:
    """Two recipes, of which the second starts from the run of the first on each split."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data = data
        self.folder, self.first, self.second = folder, folder / "first", folder / "second"
        common = ("--config", TINY, "--data", self.data, "--set", "schedule.epochs=1")
        run(*common, "--run", self.first, "--split", 0)
        self.before = self.model()
        self.output = run(*common, "--run", self.first, "--split", 0, "--split", 3)
        start = f"model.weights={self.first}/split-{{split}}/best.safetensors"
        on = ("--set", start, "--set", "name=on", "--set", "run.seed=1")
        run(*common, "--run", self.second, "--split", 3, *on)

    def model(self) -> tuple[bytes, int]:
        file = self.first / "split-0" / "model.onnx"
        return file.read_bytes(), file.stat().st_mtime_ns


@pytest.fixture(scope="module")
def runs(
    small_data: Path, tmp_path_factory: pytest.TempPathFactory, exporter_stub: Callable[..., float]
) -> Iterator[Runs]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "export", exporter_stub)
        yield Runs(small_data, tmp_path_factory.mktemp("runs"))


def test_two_splits_are_trained_and_measured_once(runs: Runs) -> None:
    assert "s.d." in runs.output
    assert runs.model() == runs.before
    about = json.loads((runs.first / "protocol.json").read_text("utf-8"))
    first, second = about["splits"]
    assert (first["split"], second["split"]) == (0, 3)
    assert set(first["folds"]) == {8, 9}
    assert set(second["folds"]) == {3, 4}
    mean = statistics.fmean([first["age_mae"], second["age_mae"]])
    assert about["mean"]["age_mae"] == pytest.approx(mean)
    gap = abs(first["age_mae"] - second["age_mae"])
    assert about["standard_deviation"]["age_mae"] == pytest.approx(gap / 2**0.5)


def test_each_split_starts_from_its_own_run(runs: Runs) -> None:
    card = Model(runs.second / "split-3").card
    assert card["after"] == ["tiny"]
    about = json.loads((runs.second / "split-3" / "run.json").read_text("utf-8"))
    assert about["config"]["model"]["weights"] == f"{runs.first}/split-3/best.safetensors"
    recipe = json.loads((runs.second / "protocol.json").read_text("utf-8"))["recipe"]
    assert "{split}" in recipe["model"]["weights"]


def test_two_recipes_are_combined_on_each_split(runs: Runs) -> None:
    pooled = runs.folder / "pooled"
    words = ["--combine", runs.first, "--combine", runs.second, "--data", runs.data]
    words += ["--run", pooled, "--split", 3]
    assert "first + second" in run(*words)
    about = json.loads((pooled / "protocol.json").read_text("utf-8"))
    assert about["members"] == [str(runs.first), str(runs.second)]
    made = json.loads((pooled / "split-3" / "run.json").read_text("utf-8"))
    assert made["members"] == [f"{runs.first}/split-3", f"{runs.second}/split-3"]
    assert Model(pooled / "split-3").card["data"]["split"] == 3
    evaluation = pooled / "split-3" / "evaluation-split3-test-flip"
    before = (made["made"], (evaluation / "evaluation.json").stat().st_mtime_ns)
    run(*words)  # nothing is done twice
    again = json.loads((pooled / "split-3" / "run.json").read_text("utf-8"))
    assert before == (again["made"], (evaluation / "evaluation.json").stat().st_mtime_ns)


def test_one_folder_alone_cannot_be_combined(tmp_path: Path) -> None:
    words = ["--data", tmp_path, "--run", tmp_path / "runs", "--combine", tmp_path]
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert isinstance(result.exception, TrainingError)
    assert "1 folder" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--config or --combine"),
        (("--config", TINY, "--combine", "a", "--combine", "b"), "--config or --combine"),
        (("--combine", "a", "--combine", "b", "--set", "name=n"), "--set changes a recipe"),
    ],
)
def test_either_a_recipe_or_members(
    tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    common = ["benchmark", "--data", str(tmp_path), "--run", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, [*common, *map(str, words)])
    assert result.exit_code == 2
    assert message in result.output


def test_missing_weights_of_a_split_are_an_error(small_data: Path, tmp_path: Path) -> None:
    words = ["--config", TINY, "--data", small_data, "--run", tmp_path / "runs", "--split", 2]
    words += ["--set", "model.weights=none/split-{split}/best.safetensors"]
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert isinstance(result.exception, TrainingError)
    assert "none/split-2/best.safetensors" in str(result.exception)


def test_an_unknown_protocol_is_a_usage_error(tmp_path: Path) -> None:
    words = ["--config", TINY, "--data", tmp_path, "--run", tmp_path, "--protocol", "ten-fold"]
    assert CliRunner().invoke(app, ["benchmark", *map(str, words)]).exit_code == 2
