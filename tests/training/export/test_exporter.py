import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from agelens.errors import TrainingError
from agelens.evaluation.calibration import Scaling
from agelens.inference.runtime import Model
from agelens.training.experiments.run import export_again
from agelens.training.export import exporter
from agelens.training.networks.network import Network
from runs import QUIET

CHIPS = np.random.default_rng(0).integers(0, 256, (3, 200, 200, 3), np.uint8)


def test_export_again_exports_the_same_network(
    finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "model.onnx").unlink()
    exported = []

    def export(network, file, card, scaling, *, half: bool) -> float:
        exported.append(exporter.CalibratedNetwork(network, scaling).eval())
        assert (file, half) == (copy / "model.onnx", False)
        assert {**card, "made": ""} == {**Model(finished).card, "made": ""}
        return 1e-6

    monkeypatch.setattr(exporter, "export", export)
    about = export_again(copy, data, QUIET)
    assert about["parity_years"] < exporter.PARITY_YEARS
    assert about["epochs"] == 12
    ours = exported[0](torch.from_numpy(CHIPS))[1].detach()
    assert np.allclose(ours, Model(finished).run(CHIPS).age_years, atol=1e-3)


def test_parity_is_checked(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = finished / "model.onnx"
    monkeypatch.setattr(torch.onnx, "export", lambda net, args, file, **_: shutil.copy(model, file))
    monkeypatch.setattr(exporter, "parity", lambda *_: 0.02)
    with pytest.raises(TrainingError, match=r"differs from torch by 0\.0200 years"):
        exporter.export(Network.from_run(finished)[0], tmp_path / "model.onnx", {}, Scaling())
    assert list(tmp_path.iterdir()) == []


def test_float16_weights_are_smaller_and_keep_predictions(finished: Path, tmp_path: Path) -> None:
    model = onnx.load(finished / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    full, half = tmp_path / "full.onnx", tmp_path / "half.onnx"
    onnx.save(model, full)
    onnx.save(model, half)
    exporter.store_compactly(half)
    ages = [Model(file).run(CHIPS).age_probabilities for file in (full, half)]
    assert np.array_equal(*ages)
    graphs = [onnx.load(file).graph for file in (full, half)]
    sizes = [sum(len(tensor.raw_data) for tensor in graph.initializer) for graph in graphs]
    assert sizes[1] <= sizes[0] - 2 * 16 * 117  # the age head's weights
    restored = onnx.load(half)
    exporter.float32_weights(restored)
    onnx.save(restored, half)
    assert np.array_equal(Model(half).run(CHIPS).age_probabilities, ages[0])
