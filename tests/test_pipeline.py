"""Every command, in the order a newcomer types them, on drawn faces."""

import csv
import json
from pathlib import Path

from typer.testing import CliRunner, Result

from agelens.cli.app import app
from drawn import portrait
from labelled import write_folder

TINY = "tiny"


def agelens(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_from_pictures_to_predictions(tmp_path: Path) -> None:
    faces = {
        f"{seed * 5 % 117}_{seed % 2}_{seed % 5}_2020010100000{seed:04}.jpg.chip.jpg": portrait(
            seed * 5 % 117, bool(seed % 2), seed
        )
        for seed in range(120)
    }
    source = write_folder(tmp_path / "pictures", faces)
    data, run = tmp_path / "data", tmp_path / "run"

    agelens("data", "import", source, data)
    assert (data / "samples.parquet").is_file()

    few = ["--set", "schedule.epochs=2", "--set", "optimizer.batch=8"]
    told = agelens("train", "--config", TINY, "--data", data, "--run", run, *few)
    assert str(run / "model.onnx") in told.output
    again = agelens("train", "--config", TINY, "--data", data, "--run", run, *few, "--resume")
    assert "best epoch" in again.output

    agelens("export", run, "--data", data)
    agelens("evaluate", run, "--data", data, "--output", tmp_path / "evaluation")
    figures = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text("utf-8"))
    assert figures["data"]["split"] == 0

    people = tmp_path / "people.csv"
    agelens("predict", source, "--chips", "--model", run, "--format", "csv", "--output", people)
    rows = list(csv.DictReader(people.read_text("utf-8").splitlines()))
    assert len(rows) == 120
    assert all(0 <= float(row["age"]) <= 116 for row in rows)
