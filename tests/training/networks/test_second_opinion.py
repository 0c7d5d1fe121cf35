"""The second opinion: a small ONNX graph in torch, and its mixture with an ensemble."""

from pathlib import Path

import numpy as np
import onnx
import onnx.helper as make
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from agelens.errors import TrainingError
from agelens.training.networks import second_opinion
from agelens.training.networks.second_opinion import OnnxNetwork, SecondOpinion, area_matrix


def graph(file: Path, classes: int, size: int) -> Path:
    """Write a graph with every operator of the published networks and random weights."""
    random = np.random.default_rng(classes)
    shapes = {"w": (8, 3, 3, 3), "b": (8,), "s": (1, 8, 1, 1), "f": (8, classes), "c": (classes,)}
    constants = {name: random.normal(0, 0.5, shape).astype(np.float32)
                 for name, shape in shapes.items()}  # fmt: skip
    constants["p"] = np.array([0, 0, 0, 0, 0, 0, 1, 2], np.int64)
    two = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]}
    conv = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        make.make_node(*node, **attributes) for node, attributes in (
            (("Conv", ["x", "w", "b"], ["1"]), conv), (("Mul", ["1", "s"], ["2"]), {}),
            (("Add", ["2", "s"], ["3"]), {}), (("Relu", ["3"], ["4"]), {}),
            (("MaxPool", ["4"], ["5"]), two), (("AveragePool", ["5"], ["6"]), two),
            (("Pad", ["6", "p"], ["7"]), {"mode": "constant"}),
            (("GlobalAveragePool", ["7"], ["8"]), {}), (("Flatten", ["8"], ["9"]), {"axis": 1}),
            (("Gemm", ["9", "f", "c"], ["10"]), {}), (("Softmax", ["10"], ["y"]), {"axis": 1}),
        )
    ]  # fmt: skip
    shape = ["n", 3, size, size]
    model = make.make_model(
        make.make_graph(
            nodes, "net", [make.make_tensor_value_info("x", 1, shape)],
            [make.make_tensor_value_info("y", 1, ["n", classes])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[make.make_opsetid("", 18)], ir_version=9,
    )  # fmt: skip
    onnx.save(model, file)
    return file


class Certain(torch.nn.Module):
    """Says 30 and female to everything."""

    def forward(self, chips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.full((len(chips), 117), -100.0)
        logits[:, 30] = 0
        return logits, torch.full((len(chips),), 2.0)


def test_a_graph_runs_as_in_onnx_runtime(tmp_path: Path) -> None:
    file = graph(tmp_path / "age-v1.onnx", 81, 64)
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    (theirs,) = onnxruntime.InferenceSession(str(file)).run(None, {"x": x})
    np.testing.assert_allclose(OnnxNetwork(file)(torch.from_numpy(x)), theirs, atol=1e-6)


def test_a_file_that_is_no_known_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no graph")
    with pytest.raises(TrainingError, match="cannot read"):
        OnnxNetwork(tmp_path / "text")


def test_the_mixture_is_weighted(tmp_path: Path) -> None:
    graph(tmp_path / "age-v1.onnx", 81, 64)
    graph(tmp_path / "gender-v1.onnx", 2, 32)
    network = SecondOpinion(Certain(), tmp_path, age=0.25, gender=0.1)
    chips = torch.randint(0, 256, (3, 200, 200, 3), dtype=torch.uint8)
    age, female = network(chips)
    x = (chips.permute(0, 3, 1, 2).float() - network.mean) / 256
    small = torch.nn.functional.interpolate(x, (64, 64), mode="area")  # near the exact areas
    other = network.second_age(small)
    assert age.softmax(-1)[:, 30].numpy() == pytest.approx(
        0.75 + 0.25 * other[:, 30].detach().numpy(), abs=0.02
    )
    assert age.softmax(-1)[:, 81:].max() < 1e-9
    assert not torch.allclose(female, torch.full((3,), 2.0), atol=1e-3)


def test_areas_are_averaged() -> None:
    matrix = area_matrix(200, 64)
    assert matrix.sum(1).numpy() == pytest.approx(np.ones(64), abs=1e-6)
    assert matrix[0, :4].tolist() == pytest.approx([0.32, 0.32, 0.32, 0.04])


def test_8_bits_hold_what_was_rounded_to_them() -> None:
    weight = np.random.default_rng(1).normal(size=(40, 64)).astype(np.float32)
    levels, scale = second_opinion.int8_levels(weight)
    assert np.abs(levels).max() == 127
    again, _ = second_opinion.int8_levels(levels * scale)
    assert np.array_equal(levels, again)
    assert np.abs(levels * scale - weight).max() <= scale.max() / 2 + 1e-6
