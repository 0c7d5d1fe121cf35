"""Features of every chip of a data set by a frozen backbone, read from the feature cache."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference.runtime import CHIP
from agelens.training.batches.feature_cache import FeatureExtractor, cached_features
from agelens.training.networks import backbones, dlib_resnet
from agelens.training.networks.feature_fusion import FeatureFusion
from agelens.training.networks.layers import Backbone
from agelens.training.networks.network import Network
from agelens.training.recipes.config import ModelConfig


@dataclass(frozen=True, slots=True)
class InputView:
    """The preprocessing of a backbone."""

    size: int  # pixels, side of the backbone's input
    padding: float  # black border on every side, as a share of the chip's side


INPUT_VIEWS = {"faceres-deep": InputView(224, 0.1), "dlib": InputView(dlib_resnet.SIZE, 0.0)}
"""The input that each backbone was trained on, or works best with."""


def backbone_features(dataset: Dataset, backbone: str, progress: Progress) -> NDArray[np.float16]:
    """Return a pre-trained backbone's features of every chip and its mirror image.

    The array is float16 (N, 2, F), memory-mapped, and cached as `features-NAME.npy`; see
    `cached_features`. Raises TrainingError for an unknown backbone or one whose files are
    missing, DatasetError for a picture that cannot be read.
    """
    if backbone not in INPUT_VIEWS:
        known = ", ".join(INPUT_VIEWS)
        raise TrainingError(f"no frozen features of {backbone!r}: expected one of {known}")
    view = INPUT_VIEWS[backbone]
    net = backbones.build(ModelConfig(backbone=backbone)).eval().requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    extractor = FeatureExtractor(
        name=f"features-{backbone}",
        title=f"features by {backbone}",
        fingerprint={"backbone": backbone, **asdict(view)},
        width=net.num_features,
        extract=lambda batch: _pooled(net, preprocess(batch, view)),
    )
    return cached_features(dataset, extractor, progress)


def network_features(dataset: Dataset, network: Network, progress: Progress) -> NDArray[np.float16]:
    """Return the features of every chip by a network with a frozen backbone, float16 (N, 2, F).

    They are cached under the SHA-256 of backbone and pooling; see `cached_features`. The features
    of concatenated members are cached for each member, so that other combinations share them.
    """
    network.eval()
    fusion = network.backbone
    if (
        isinstance(fusion, FeatureFusion)
        and fusion.mode == "concat"
        and network.pool.kind == "mean"
    ):
        parts = []
        for index, (view, width) in enumerate(zip(fusion.views, fusion.widths, strict=True)):
            member = fusion.members[index]
            key = f"{network.size} {network.padding} {view} {member}"

            def extract(x: Tensor, index: int = index) -> Tensor:
                return fusion.member_features(index, network.preprocess(x))

            parts.append(_by_digest(dataset, (key, member), width, extract, progress))
        return np.concatenate(parts, axis=-1)
    padding = f" {network.padding}" if network.padding else ""
    key = f"{network.size}{padding} {network.backbone}"
    identity = (key, network.backbone, network.pool)
    return _by_digest(dataset, identity, network.num_features, network.extract_features, progress)


def _by_digest(
    dataset: Dataset,
    identity: tuple[str | nn.Module, ...],
    width: int,
    extract: Callable[[Tensor], Tensor],
    progress: Progress,
) -> NDArray[np.float16]:
    """Cache features under the SHA-256 of strings and of the weights of modules."""
    digest = hashlib.sha256()
    for part in identity:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            for name, tensor in part.state_dict().items():
                digest.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    extractor = FeatureExtractor(
        name=f"features-{digest.hexdigest()[:12]}",
        title="features by the frozen backbone",
        fingerprint={"network": digest.hexdigest()},
        width=width,
        extract=lambda batch: extract(torch.from_numpy(batch)),
    )
    return cached_features(dataset, extractor, progress)


def _pooled(net: Backbone, pictures: NDArray[np.uint8]) -> Tensor:
    """Return the mean of the last feature map, float32 (B, F)."""
    # (B, S, S, 3) permuted to (B, 3, S, S) is what channels_last means
    maps: Tensor = net(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    return maps.float().mean((2, 3))


def preprocess(batch: NDArray[np.uint8], view: InputView) -> NDArray[np.uint8]:
    """Pad and resize chips, uint8 (B, 200, 200, 3), to uint8 (B, size, size, 3)."""
    edge = round(CHIP * view.padding)
    padded = np.pad(batch, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    resized = [cv2.resize(c, (view.size, view.size), interpolation=cv2.INTER_AREA) for c in padded]
    return np.stack(resized).astype(np.uint8, copy=False)


def face_descriptors(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Turn the features of chips by `dlib` into dlib's face descriptors, float32 (N, 128).

    Two faces belong to one person below a distance of 0.6 (King, 2017), to one photo below 0.15.
    """
    net = dlib_resnet.DlibResNet(embedding=True)
    net.load_dlib(backbones.locate("dlib"))
    matrix = net.embedding.weight.detach().numpy()  # type: ignore[union-attr]
    descriptors: NDArray[np.float32] = features[:, 0].astype(np.float32) @ matrix.T
    return descriptors
