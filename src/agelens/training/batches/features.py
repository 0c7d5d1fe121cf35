"""Features of every chip of a dataset by a frozen pre-trained backbone, computed once."""

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
from agelens.training.batches.feature_cache import Describer, remember
from agelens.training.networks import dlib_resnet, pretrained
from agelens.training.networks.feature_fusion import Fusion
from agelens.training.networks.network import Network
from agelens.training.recipes.config import ModelConfig


@dataclass(frozen=True, slots=True)
class View:
    """How chips are shown to a backbone."""

    size: int  # pixels, the side the backbone sees
    padding: float  # share of the chip's side put around it in black, on every side


VIEWS = {"faceres-deep": View(224, 0.1), "dlib": View(dlib_resnet.SIZE, 0.0)}
"""What each backbone was trained to see, or sees best."""


def extract(dataset: Dataset, backbone: str, progress: Progress) -> NDArray[np.float16]:
    """Give features of every chip and of its mirror image, float16 (N, 2, F), memory-mapped.

    Kept as `features-NAME.npy` in the dataset folder; see `remember`. Raises TrainingError for
    an unknown backbone or one whose files are missing, DatasetError for a picture that cannot
    be read.
    """
    if backbone not in VIEWS:
        known = ", ".join(VIEWS)
        raise TrainingError(f"no frozen features of {backbone!r}: expected one of {known}")
    view = VIEWS[backbone]
    net = pretrained.build(ModelConfig(backbone=backbone)).eval().requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    by = Describer(
        name=f"features-{backbone}",
        title=f"features by {backbone}",
        made_of={"backbone": backbone, **asdict(view)},
        width=int(net.features),
        describe=lambda batch: _mean(net, show(batch, view)),
    )
    return remember(dataset, by, progress)


def of_network(dataset: Dataset, network: Network, progress: Progress) -> NDArray[np.float16]:
    """Give what a network with a frozen backbone makes of every chip, float16 (N, 2, F).

    Kept under the SHA-256 of backbone and pooling; see `remember`. Members that stand beside each
    other are kept each for itself, so that another pair has less to compute.
    """
    network.eval()
    fusion = network.backbone
    if isinstance(fusion, Fusion) and fusion.join == "beside" and network.pool.kind == "mean":
        return np.concatenate(
            [
                _kept(
                    dataset,
                    (f"{network.size} {network.padding} {view} {member}", member),
                    int(member.features),  # type: ignore[arg-type]
                    lambda x, place=place: fusion.part(place, network.prepare(x)),  # type: ignore[misc]
                    progress,
                )
                for place, (view, member) in enumerate(
                    zip(fusion.views, fusion.members, strict=True)
                )
            ],
            axis=-1,
        )
    padding = f" {network.padding}" if network.padding else ""
    what = f"{network.size}{padding} {network.backbone}", network.backbone, network.pool
    return _kept(dataset, what, network.features, network.describe, progress)


def _kept(
    dataset: Dataset,
    what: tuple[str | nn.Module, ...],
    width: int,
    describe: Callable[[Tensor], Tensor],
    progress: Progress,
) -> NDArray[np.float16]:
    """Give the features that `describe` makes of chips; `what` it is made of names them."""
    digest = hashlib.sha256()
    for part in what:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            for name, tensor in part.state_dict().items():
                digest.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    by = Describer(
        name=f"features-{digest.hexdigest()[:12]}",
        title="features by the frozen backbone",
        made_of={"network": digest.hexdigest()},
        width=width,
        describe=lambda batch: describe(torch.from_numpy(batch)),
    )
    return remember(dataset, by, progress)


def _mean(net: nn.Module, pictures: NDArray[np.uint8]) -> Tensor:
    """Give the mean of the last feature map, float32 (B, F)."""
    # (B, S, S, 3) seen as (B, 3, S, S) is what channels_last means
    last: Tensor = net(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    return last.float().mean((2, 3))


def show(batch: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Pad and resize chips, uint8 (B, 200, 200, 3), to uint8 (B, size, size, 3)."""
    edge = round(CHIP * view.padding)
    made = np.empty((len(batch), view.size, view.size, 3), np.uint8)
    for place, chip in enumerate(batch):
        if edge:
            chip = np.pad(chip, ((edge, edge), (edge, edge), (0, 0)))
        made[place] = cv2.resize(chip, (view.size, view.size), interpolation=cv2.INTER_AREA)
    return made


def embed(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Give dlib's 128-number face descriptor of the features of chips by `dlib`, (N, 128).

    Two faces are one person's below a distance of 0.6 (King, 2017), one photo's below 0.15.
    """
    net = dlib_resnet.DlibResNet(embedding=True)
    net.load_dlib(pretrained.locate("dlib"))
    if net.embedding is None:  # for the type checker
        raise TypeError("no embedding")
    matrix = net.embedding.weight.detach().numpy()
    made: NDArray[np.float32] = features[:, 0].astype(np.float32) @ matrix.T
    return made
