import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.errors import TrainingError
from agelens.inference.runtime import Model
from agelens.training.export import exporter
from runs import export_tiny


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def read(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def runs(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    # two recipes, of which the second starts from the run of the first on each split
    folder = tmp_path_factory.mktemp("runs")
    first, second = folder / "first", folder / "second"
    common = ("--config", "tiny", "--data", small_data, "--set", "schedule.epochs=1", "--split")
    start = f"model.weights={first}/split-{{split}}/best.safetensors"
    on = ("--set", start, "--set", "name=on", "--set", "run.seed=1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "export", export_tiny)
        run(*common, 0, "--run", first)
        model = first / "split-0" / "model.onnx"
        before = model.read_bytes(), model.stat().st_mtime_ns
        output = run(*common, 0, "--split", 3, "--run", first)
        assert (model.read_bytes(), model.stat().st_mtime_ns) == before
        run(*common, 3, "--run", second, *on)
        yield SimpleNamespace(folder=folder, first=first, second=second, output=output)


def test_two_splits_are_trained_and_measured_once(runs: SimpleNamespace) -> None:
    assert "s.d." in runs.output
    about = read(runs.first, "protocol.json")
    first, second = about["splits"]
    assert (first["split"], second["split"]) == (0, 3)
    assert (set(first["folds"]), set(second["folds"])) == ({8, 9}, {3, 4})
    mean = statistics.fmean([first["age_mae"], second["age_mae"]])
    assert about["mean"]["age_mae"] == pytest.approx(mean)
    gap = abs(first["age_mae"] - second["age_mae"])
    assert about["standard_deviation"]["age_mae"] == pytest.approx(gap / 2**0.5)


def test_each_split_starts_from_its_own_run(runs: SimpleNamespace) -> None:
    assert Model(runs.second / "split-3").card["after"] == ["tiny"]
    recipe = read(runs.second / "split-3", "run.json")["config"]
    assert recipe["model"]["weights"] == f"{runs.first}/split-3/best.safetensors"
    assert "{split}" in read(runs.second, "protocol.json")["recipe"]["model"]["weights"]


def test_two_recipes_are_combined_on_each_split(runs: SimpleNamespace, small_data: Path) -> None:
    pooled = runs.folder / "pooled"
    words = ["--combine", runs.first, "--combine", runs.second, "--data", small_data]
    words += ["--run", pooled, "--split", 3]
    assert "first + second" in run(*words)
    assert read(pooled, "protocol.json")["members"] == [str(runs.first), str(runs.second)]
    made = read(pooled / "split-3", "run.json")
    assert made["members"] == [f"{runs.first}/split-3", f"{runs.second}/split-3"]
    assert Model(pooled / "split-3").card["data"]["split"] == 3
    evaluation = pooled / "split-3" / "evaluation-split3-test-flip" / "evaluation.json"
    before = evaluation.stat().st_mtime_ns
    run(*words)  # nothing is done twice
    assert read(pooled / "split-3", "run.json") == made
    assert evaluation.stat().st_mtime_ns == before


RECIPE = ("--config", "tiny")
TWO = ("--combine", "a", "--combine", "b")


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (("--combine", "a"), TrainingError, "1 folder"),
        ((), SystemExit, "--config or --combine"),
        ((*RECIPE, *TWO), SystemExit, "--config or --combine"),
        ((*TWO, "--set", "name=n"), SystemExit, "--set changes a recipe"),
        ((*RECIPE, "--protocol", "ten-fold"), SystemExit, "expected five-splits"),
        ((*RECIPE, "--split", "2", "--set", "model.weights=none/split-{split}/best.safetensors"),
         TrainingError, "none/split-2/best.safetensors"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(
    small_data: Path, tmp_path: Path, words: tuple[str, ...], kind: type[Exception], message: str
) -> None:
    common = ["benchmark", "--data", str(small_data), "--run", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, [*common, *words])
    assert isinstance(result.exception, kind)
    assert message in f"{result.output} {result.exception}"
