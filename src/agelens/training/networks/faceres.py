"""The face network `faceres-deep` in torch: a MobileNet pre-trained on faces (MIT).

MobileNetV1 (Howard et al., 2017) as HSE_FaceRec trained it for identity, age and gender
(Savchenko, 2019), published as a TensorFlow.js graph: JSON that lists tensors, and their bytes.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from agelens.errors import TrainingError
from agelens.training.networks.layers import Backbone

MEAN_BGR = (103.939, 116.779, 123.68)
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1),
    (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1),
)  # fmt: skip
"""(outputs, stride) of each depthwise-separable block."""


class Convolution(nn.Module):
    """A convolution and ReLU6 with TensorFlow's padding: at stride 2 right and bottom only."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.pad_far = stride == 2
        padding = 0 if self.pad_far else kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        if self.pad_far:
            x = functional.pad(x, (0, 1, 0, 1))
        return functional.relu6(self.conv(x), inplace=True)


class FaceRes(Backbone):
    """Map RGB of 0 to 255, (B, 3, S, S), to a feature map of 1,024 channels."""

    num_features = 1024
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = [Convolution(3, 32, 3, 2, 1)]
        inputs = 32
        for outputs, stride in BLOCKS:
            depthwise = Convolution(inputs, inputs, 3, stride, inputs)
            stages.append(nn.Sequential(depthwise, Convolution(inputs, outputs, 1, 1, 1)))
            inputs = outputs
        self.stages = nn.ModuleList(stages)
        self.register_buffer("mean", torch.tensor(MEAN_BGR)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) of 0 to 255 to (B, 1024, S / 32, S / 32)."""
        x = x.flip(1) - self.mean
        for stage in self.stages:
            x = stage(x)
        return x

    def load_tensorflow(self, graph: Path) -> None:
        """Load the weights that a TensorFlow.js graph lists; fold its batch normalisation in.

        Raises TrainingError for a tensor that is missing or has another shape.
        """
        tensors = read_tensors(graph)
        names = [f"conv_{kind}_{i}" for i in range(1, len(BLOCKS) + 1) for kind in ("dw", "pw")]
        convolutions = [module for module in self.modules() if isinstance(module, nn.Conv2d)]

        def take(name: str) -> Tensor:
            if name not in tensors:
                raise TrainingError(f"{graph} lists no tensor {name!r}: not faceres-deep")
            return torch.from_numpy(tensors[name])

        for name, convolution in zip(["conv1", *names], convolutions, strict=True):
            if convolution.groups > 1:
                kernel = take(f"{name}/depthwise_kernel").permute(2, 3, 0, 1)
                kernel = kernel * take(f"{name}_bn/batchnorm_1/mul")[:, None, None, None]
            else:
                kernel = take(f"{name}/convolution/merged_input").permute(3, 2, 0, 1)
            if convolution.weight.shape != kernel.shape:
                raise TrainingError(
                    f"{graph}: a kernel of shape {tuple(kernel.shape)} where "
                    f"{tuple(convolution.weight.shape)} was expected: not faceres-deep"
                )
            convolution.weight.data.copy_(kernel)
            convolution.bias.data.copy_(take(f"{name}_bn/batchnorm_1/sub"))  # type: ignore[union-attr]


def read_tensors(graph: Path) -> dict[str, NDArray[np.float32]]:
    """Read the float32 tensors of a TensorFlow.js graph, by name.

    Raises TrainingError when the list and the binary files do not agree.
    """
    try:
        tensors: dict[str, NDArray[np.float32]] = {}
        for group in json.loads(graph.read_bytes())["weightsManifest"]:
            # only the bare name: a graph file must not point anywhere else
            parts = [(graph.parent / Path(name).name).read_bytes() for name in group["paths"]]
            values = np.frombuffer(b"".join(parts), "<f4")  # float32 and int32 have 4 bytes each
            ends = np.cumsum([math.prod(entry["shape"]) for entry in group["weights"]])
            if ends[-1] != len(values):
                raise TrainingError(
                    f"{graph}: its list names {4 * ends[-1]} bytes, its files hold {values.nbytes}"
                )
            for entry, flat in zip(group["weights"], np.split(values, ends[:-1]), strict=True):
                if entry["dtype"] == "float32":
                    tensors[entry["name"]] = flat.reshape(entry["shape"]).copy()
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TrainingError(f"cannot read {graph} as a TensorFlow.js graph: {error}") from error
    return tensors
