import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest

from agelens.data.chips import cached
from agelens.data.dataset import Dataset
from agelens.errors import ModelError
from agelens.inference.runtime import Model
from agelens.training.export.quantization import SETTINGS, _first_convolutions, quantize
from runs import QUIET


def test_the_variant_stays_near_the_full_model(finished: Path, data: Path, tmp_path: Path) -> None:
    about = quantize(finished, data, tmp_path / "int8", QUIET)
    assert len(about["tries"]) == len(SETTINGS)
    assert about["chosen"] in [asdict(setting) for setting in SETTINGS]
    whole, small = Model(finished), Model(tmp_path / "int8")
    assert small.card["variant"]["bits"] == 8
    chips = np.array(cached(Dataset(data), QUIET)[:16])
    ours, theirs = (model.run(chips) for model in (whole, small))
    moved = np.abs(ours.age_years - theirs.age_years)
    assert 0 < moved.mean() < 6  # a rough net on drawn faces, roughly kept
    assert b"QuantizeLinear" in small.path.read_bytes()
    record = json.loads((tmp_path / "int8" / "run.json").read_text("utf-8"))
    assert record["bytes"] == small.path.stat().st_size
    assert {path.name for path in (tmp_path / "int8").iterdir()} == {"model.onnx", "run.json"}
    with pytest.raises(ModelError, match="no model"):
        quantize(tmp_path / "nowhere", data, tmp_path / "other", QUIET)


def test_the_first_convolutions_of_each_backbone_are_found_folded_or_not() -> None:
    weights = ["a.stages.0.w", "b.stages.0.w", "Fusion_W_a.stages.1.w", "Fusion_W_b.stages.1.w"]
    nodes = [onnx.helper.make_node("Conv", ["x", w], [w + "y"], name=w) for w in weights]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "two", [], []))
    assert _first_convolutions(model, 1) == ["a.stages.0.w", "b.stages.0.w"]
    assert sorted(_first_convolutions(model, 2)) == sorted(weights)
