"""The commands of the tutorial, in the order a newcomer types them, on drawn faces."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from commands import invoke
from conftest import build_tiny_model
from drawn import portrait
from labelled import write_folder


def agelens(*words: object) -> Result:
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    return result


def test_from_pictures_to_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = {
        f"{seed * 5 % 117}_{seed % 2}_{seed % 5}_2020010100000{seed:04}.jpg.chip.jpg": portrait(
            seed * 5 % 117, bool(seed % 2), seed
        )
        for seed in range(60)
    }
    source = write_folder(tmp_path / "pictures", faces)
    data, run = tmp_path / "data", tmp_path / "run"

    agelens("data", "import", source, data)
    assert (data / "samples.parquet").is_file()

    recipe = tmp_path / "mine.toml"
    recipe.write_text(agelens("recipes", "show", "tiny").stdout)
    train = ("train", recipe, "--data", data, "--run", run,
             "--set", "schedule.epochs=2", "--set", "optimizer.batch=8")  # fmt: skip
    assert str(run / "model.onnx") in agelens(*train).output
    model = (run / "model.onnx").stat().st_mtime_ns
    assert "best epoch" in agelens(*train).output
    assert (run / "model.onnx").stat().st_mtime_ns == model

    agelens("evaluate", run, "--data", data, "--output", tmp_path / "evaluation")
    figures = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text("utf-8"))
    assert figures["data"]["split"] == 0

    people = tmp_path / "people.csv"
    agelens("predict", source, "--chips", "--model", run, "--format", "csv", "--output", people)
    rows = list(csv.DictReader(people.read_text("utf-8").splitlines()))
    assert len(rows) == 60 and all(0 <= float(row["age"]) <= 116 for row in rows)

    def export(
        network: object, file: Path, card: dict[str, Any], *_: object, **__: object
    ) -> float:
        build_tiny_model(file, card)  # it was really exported above, which takes seconds
        return 0.0

    monkeypatch.setattr("agelens.training.export.exporter.export", export)
    agelens("export", run, "--data", data)
    assert (run / "model.onnx").stat().st_mtime_ns != model
