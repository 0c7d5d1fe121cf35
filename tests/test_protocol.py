import json
import statistics
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.errors import TrainingError
from agelens.runtime import Model
from drawn import write_dataset

TINY = Path(__file__).parents[1] / "configs" / "tiny.toml"


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def test_two_splits_are_trained_measured_and_not_done_twice(tmp_path: Path) -> None:
    data, folder = write_dataset(tmp_path / "data"), tmp_path / "runs"
    common = ("--config", TINY, "--data", data, "--run", folder, "--set", "schedule.epochs=2")
    run(*common, "--split", 0)
    model = (folder / "split-0" / "model.onnx").read_bytes()
    assert "s.d." in run(*common, "--split", 0, "--split", 3)
    assert (folder / "split-0" / "model.onnx").read_bytes() == model
    about = json.loads((folder / "protocol.json").read_text("utf-8"))
    first, second = about["splits"]
    assert (first["split"], second["split"]) == (0, 3)
    assert set(first["folds"]) == {8, 9}
    assert set(second["folds"]) == {3, 4}
    mean = statistics.fmean([first["age_mae"], second["age_mae"]])
    assert about["mean"]["age_mae"] == pytest.approx(mean)
    gap = abs(first["age_mae"] - second["age_mae"])
    assert about["standard_deviation"]["age_mae"] == pytest.approx(gap / 2**0.5)


def test_each_split_goes_on_from_its_own_start(tmp_path: Path) -> None:
    data, first, second = write_dataset(tmp_path / "data"), tmp_path / "first", tmp_path / "second"
    common = ("--config", TINY, "--data", data, "--set", "schedule.epochs=1", "--split", 3)
    run(*common, "--run", first)
    start = f"model.weights={first}/split-{{split}}/best.safetensors"
    run(*common, "--run", second, "--set", start, "--set", "name=on")
    card = Model(second / "split-3").card
    assert card["after"] == ["tiny"]
    about = json.loads((second / "split-3" / "run.json").read_text("utf-8"))
    assert about["config"]["model"]["weights"] == f"{first}/split-3/best.safetensors"
    recipe = json.loads((second / "protocol.json").read_text("utf-8"))["recipe"]
    assert "{split}" in recipe["model"]["weights"]


def test_what_two_recipes_made_of_a_split_is_pooled(tmp_path: Path) -> None:
    data, folders = write_dataset(tmp_path / "data", 100), []
    for seed in range(2):
        folders.append(tmp_path / f"way-{seed}")
        few = ("--set", "schedule.epochs=2", "--set", f"run.seed={seed}", "--set", f"name=n{seed}")
        run("--config", TINY, "--data", data, "--run", folders[-1], "--split", 2, *few)
    words = ["--combine", folders[0], "--combine", folders[1], "--data", data]
    words += ["--run", tmp_path / "pooled", "--split", 2]
    assert "way-0 + way-1" in run(*words)
    about = json.loads((tmp_path / "pooled" / "protocol.json").read_text("utf-8"))
    assert about["members"] == list(map(str, folders))
    made = json.loads((tmp_path / "pooled" / "split-2" / "run.json").read_text("utf-8"))
    assert made["members"] == [f"{folder}/split-2" for folder in folders]
    assert Model(tmp_path / "pooled" / "split-2").card["data"]["split"] == 2
    evaluation = tmp_path / "pooled" / "split-2" / "evaluation-split2-test-flip"
    before = (made["made"], (evaluation / "evaluation.json").stat().st_mtime_ns)
    run(*words)  # nothing is done twice
    again = json.loads((tmp_path / "pooled" / "split-2" / "run.json").read_text("utf-8"))
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
