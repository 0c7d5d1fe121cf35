import json
import statistics
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
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


def test_an_unknown_protocol_is_a_usage_error(tmp_path: Path) -> None:
    words = ["--config", TINY, "--data", tmp_path, "--run", tmp_path, "--protocol", "ten-fold"]
    assert CliRunner().invoke(app, ["benchmark", *map(str, words)]).exit_code == 2
