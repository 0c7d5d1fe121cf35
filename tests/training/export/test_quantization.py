import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from rich.progress import Progress

from agelens.data.chips import cached
from agelens.data.dataset import Dataset
from agelens.errors import ModelError
from agelens.inference.runtime import Model
from agelens.training.experiments.run import train
from agelens.training.export.quantization import SETTINGS, _first_convolutions, quantize
from agelens.training.recipes.config import Config
from drawn import write_dataset


def quiet() -> Progress:
    return Progress(disable=True)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = "tiny"
    folder = tmp_path_factory.mktemp("whole") / "run"
    config = Config.read(recipe, {"schedule.epochs": 3})
    train(config, dataset, folder, quiet())
    return folder


def test_the_variant_stays_near_the_whole_model(run: Path, dataset: Path, tmp_path: Path) -> None:
    about = quantize(run, dataset, tmp_path / "int8", quiet())
    assert len(about["tries"]) == len(SETTINGS)
    assert {"method": about["chosen"]["method"], "whole": about["chosen"]["whole"]} in [
        {"method": s.method, "whole": s.whole} for s in SETTINGS
    ]
    whole, small = Model(run), Model(tmp_path / "int8")
    assert small.card["variant"]["bits"] == 8
    chips = np.array(cached(Dataset(dataset), quiet())[:16])
    ours, theirs = (model.run(chips) for model in (whole, small))
    moved = np.abs(ours.age_years - theirs.age_years)
    assert 0 < moved.mean() < 6  # three epochs on drawn faces: a rough net, roughly kept
    assert b"QuantizeLinear" in small.path.read_bytes()
    assert json.loads((tmp_path / "int8" / "run.json").read_text("utf-8"))["bytes"] == (
        small.path.stat().st_size
    )
    assert {path.name for path in (tmp_path / "int8").iterdir()} == {"model.onnx", "run.json"}


def test_the_first_convolutions_of_each_backbone_are_found_folded_or_not() -> None:
    weights = ["a.stages.0.w", "b.stages.0.w", "Fusion_W_a.stages.1.w", "Fusion_W_b.stages.1.w"]
    nodes = [onnx.helper.make_node("Conv", ["x", w], [w + "y"], name=w) for w in weights]
    graph = onnx.helper.make_graph(nodes, "two", [], [])
    model = onnx.helper.make_model(graph)
    assert _first_convolutions(model, 1) == ["a.stages.0.w", "b.stages.0.w"]
    assert sorted(_first_convolutions(model, 2)) == sorted(weights)


def test_a_run_without_a_model_is_named(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        quantize(tmp_path / "nowhere", dataset, tmp_path / "int8", quiet())
