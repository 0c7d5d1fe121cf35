import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agelens import provenance
from agelens.errors import TrainingError
from agelens.inference.runtime import Model
from agelens.training.export import exporter, release


@pytest.fixture
def weights(monkeypatch, tmp_path: Path) -> Path:
    assert release.WEIGHTS.joinpath("default.onnx").is_file()
    folder = tmp_path / "weights"
    monkeypatch.setattr(release, "WEIGHTS", folder)
    monkeypatch.setattr(release, "shipped", lambda: [path.stem for path in folder.glob("*.onnx")])
    monkeypatch.setattr(
        release, "Model", lambda name: Model(folder / f"{name}.onnx" if name == "default" else name)
    )
    return folder


@pytest.fixture
def make_run(make_model, tmp_path: Path) -> Callable[[str, float], Path]:
    def make(name: str, mae: float) -> Path:
        evaluated = tmp_path / name / "evaluation-split0-test-flip"
        evaluated.mkdir(parents=True)
        model = make_model({"name": "tiny", "validation": {"validation_mae": mae}})
        model = model.rename(tmp_path / name / "model.onnx")
        evaluation = {
            "model": {"sha256": provenance.sha256(model)}, "faces": 10, "data": {"folds": [8, 9]},
            "flip": True, "date": "2026-01-01",
            "subsets": {"all": {"figures": {key: {"value": 0.5} for key in release.FIGURES}}},
        }  # fmt: skip
        (evaluated / "evaluation.json").write_text(json.dumps(evaluation))
        return model.parent

    return make


def test_only_a_better_model_replaces_the_shipped_one(weights: Path, make_run) -> None:
    file = release.ship(make_run("first", 4.5), "default")
    assert file == weights / "default.onnx"
    card = Model(file).card
    assert (card["test"]["folds"], card["test"]["age_mae"]) == ([8, 9], 0.5)
    assert json.loads((weights / "default.json").read_text("utf-8")) == card
    with pytest.raises(TrainingError, match=r"MAE 4\.600, the shipped default 4\.500: worse"):
        release.ship(make_run("worse", 4.6), "default")
    release.ship(make_run("better", 4.4), "default")
    assert Model(file).card["validation"]["validation_mae"] == 4.4


def test_an_unmeasured_or_large_model_is_not_shipped(weights: Path, make_run, monkeypatch) -> None:
    run = make_run("run", 4.5)
    exporter.write_card(run / "model.onnx", {"validation": {"validation_mae": 4.0}})
    with pytest.raises(TrainingError, match="no evaluation of this model"):
        release.ship(run, "default")
    assert not weights.exists()
    monkeypatch.setattr(release, "LARGEST", 100)
    with pytest.raises(TrainingError, match="expected at most 100"):
        release.ship(run, "default")
