"""Features of every chip of a data set by a frozen network, computed once and cached.

The cache is `NAME.npy` in the data set's folder, with a JSON file beside it that says which
network and which pictures the features are of. Relabelling leaves them valid.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.data.storage import read_object, write_json
from agelens.errors import DatasetError, PictureError, TrainingError
from agelens.inference.runtime import CHIP
from agelens.training.batches.augmentation import Augment
from agelens.training.networks import backbones, face_networks
from agelens.training.networks.device import best_seconds, keep_freed_memory
from agelens.training.networks.layers import FeatureFusion
from agelens.training.networks.network import Network
from agelens.training.recipes.config import AugmentConfig, ModelConfig

BATCH = 64
_CHECKPOINT_EVERY = 10  # batches
INPUT_VIEWS = {"faceres-deep": (224, 0.1), "dlib": (face_networks.DLIB_SIZE, 0.0)}
"""The input that each backbone was trained on, or works best with: the side in pixels, and the
black border on every side as a share of the chip's side."""


def backbone_features(dataset: Dataset, backbone: str, progress: Progress) -> NDArray[np.float16]:
    """Return the features of a pre-trained backbone, cached as `features-NAME.npy`.

    See `cached_features`. Raises TrainingError for an unknown backbone or missing files.
    """
    if backbone not in INPUT_VIEWS:
        known = ", ".join(INPUT_VIEWS)
        raise TrainingError(f"no frozen features of {backbone!r}: expected one of {known}")
    size, padding = INPUT_VIEWS[backbone]
    net = backbones.build(ModelConfig(backbone=backbone)).eval().requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def extract(batch: Tensor) -> Tensor:
        # (B, S, S, 3) permuted to (B, 3, S, S) is what channels_last means
        resized = torch.from_numpy(preprocess(batch.numpy(), size, padding)).permute(0, 3, 1, 2)
        maps: Tensor = net(resized.float())
        return maps.float().mean((2, 3))

    fingerprint = {"backbone": backbone, "size": size, "padding": padding}
    extractor = FeatureExtractor(f"features-{backbone}", fingerprint, net.num_features, extract)
    return cached_features(dataset, extractor, progress)


def network_features(
    dataset: Dataset, network: Network, progress: Progress, augment: AugmentConfig | None = None
) -> NDArray[np.float16]:
    """Return the features of a network with a frozen backbone; see `cached_features`.

    `augment` adds those of its views, chips changed at random: float16 (N, 2 + views, F).

    Their name is the SHA-256 of backbone and pooling. Those of concatenated members are cached for
    each member, so that other combinations share them.
    """
    network.eval()
    fusion, pool = network.backbone, network.pool
    if not isinstance(fusion, FeatureFusion) or fusion.mode != "concat" or pool.kind != "mean":
        key = f"{network.size}{f' {network.padding}' if network.padding else ''} {fusion}"
        extractor = _by_digest(key, (fusion, pool), network.num_features, network.extract_features)
        return _with_views(dataset, extractor, progress, augment)

    def extract_member(index: int, x: Tensor) -> Tensor:
        return fusion.member_features(index, network.preprocess(x))

    parts = []
    for index, member in enumerate(fusion.members):
        key = f"{network.size} {network.padding} {fusion.views[index]} {member}"
        extract = partial(extract_member, index)
        extractor = _by_digest(key, (member,), fusion.widths[index], extract)
        parts.append(_with_views(dataset, extractor, progress, augment))
    return np.concatenate(parts, axis=-1)


def _with_views(
    dataset: Dataset, extractor: "FeatureExtractor", progress: Progress,
    augment: AugmentConfig | None,
) -> NDArray[np.float16]:  # fmt: skip
    features = cached_features(dataset, extractor, progress)
    if augment is None or not augment.views:
        return features
    views = replace(
        extractor, name=f"{extractor.name}-views", augment=augment,
        fingerprint=extractor.fingerprint | {"augment": augment.model_dump()},
    )  # fmt: skip
    return np.concatenate([features, cached_features(dataset, views, progress)], axis=1)


def preprocess(batch: NDArray[np.uint8], size: int, padding: float) -> NDArray[np.uint8]:
    """Pad and resize chips, uint8 (B, 200, 200, 3), to uint8 (B, size, size, 3)."""
    edge = round(CHIP * padding)
    padded = np.pad(batch, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    resized = [cv2.resize(chip, (size, size), interpolation=cv2.INTER_AREA) for chip in padded]
    return np.stack(resized).astype(np.uint8, copy=False)


def face_descriptors(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Turn the features of chips by `dlib` into dlib's face descriptors, float32 (N, 128).

    Two faces belong to one person below a distance of 0.6 (King, 2017), to one photo below 0.15.
    """
    embedding = face_networks.read_dlib_embedding(backbones.locate("dlib"))
    descriptors: NDArray[np.float32] = features[:, 0].astype(np.float32) @ embedding
    return descriptors


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """A frozen network that turns chips into features."""

    name: str  # of the cache file, without suffix
    fingerprint: dict[str, Any]  # JSON values that identify the network and its preprocessing
    width: int  # F
    extract: Callable[[Tensor], Tensor]  # uint8 (B, 200, 200, 3) RGB to (B, F)
    augment: AugmentConfig | None = None  # changes chips in its `views` ways; None: mirrors them

    @property
    def views(self) -> int:
        """How many views of each chip there are."""
        return self.augment.views if self.augment else 2

    def view(self, batch: NDArray[np.uint8], view: int, row: int) -> NDArray[np.uint8]:
        """Return one view of chips, the first of which is at a row of the dataset."""
        if self.augment is None:
            return np.ascontiguousarray(batch[:, :, ::-1]) if view else batch
        change = Augment(self.augment)
        randoms = (np.random.default_rng([view, row + i]) for i in range(len(batch)))
        return np.stack([change(np.ascontiguousarray(chip), CHIP, random)
                         for chip, random in zip(batch, randoms, strict=True)])  # fmt: skip

    def run(self, batch: NDArray[np.uint8], precision: str) -> NDArray[np.float32]:
        """Return the features of a batch, in "float32" or under "bfloat16" autocast."""
        bfloat16 = precision == "bfloat16"
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return self.extract(torch.from_numpy(batch)).float().numpy()

    def faster_precision(self) -> str:
        """Time both precisions on blank chips; return the faster one."""
        blank = np.zeros((16, CHIP, CHIP, 3), np.uint8)
        seconds = {p: best_seconds(partial(self.run, blank, p)) for p in ("bfloat16", "float32")}
        return min(seconds, key=seconds.__getitem__)


def _by_digest(
    key: str, modules: tuple[nn.Module, ...], width: int, extract: Callable[[Tensor], Tensor]
) -> FeatureExtractor:
    """Make an extractor that is named by the SHA-256 of a key and of the weights of modules."""
    digest = hashlib.sha256(key.encode())
    for module in modules:
        for name, tensor in module.state_dict().items():
            digest.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    name, fingerprint = f"features-{digest.hexdigest()[:12]}", {"network": digest.hexdigest()}
    return FeatureExtractor(name, fingerprint, width, extract)


def cached_features(
    dataset: Dataset, extractor: FeatureExtractor, progress: Progress
) -> NDArray[np.float16]:
    """Return the features of every chip's views, float16 (N, views, F), memory-mapped.

    The views are the chip and its mirror image, unless the extractor changes chips otherwise.

    The first call computes them, in bfloat16 where that is faster; it can be interrupted, and a
    second process waits for the first. Raises DatasetError for a picture that cannot be read.
    """
    file = dataset.folder / f"{extractor.name}.npy"
    rows = dataset.samples.select("file", "sha256").iter_rows()
    pictures = hashlib.sha256("".join("\t".join(row) + "\n" for row in rows).encode()).hexdigest()
    fingerprint = {**extractor.fingerprint, "pictures": pictures}

    def is_current() -> bool:
        return file.is_file() and _is_of(read_object(file.with_suffix(".json")), fingerprint)

    if not is_current():
        with FileLock(file.with_suffix(".lock")):
            if not is_current():
                _compute(dataset, extractor, file, fingerprint, progress)
    features: NDArray[np.float16] = np.load(file, mmap_mode="r")
    return features


def _compute(
    dataset: Dataset, extractor: FeatureExtractor, file: Path, fingerprint: dict[str, Any],
    progress: Progress,
) -> None:  # fmt: skip
    """Write the features to a file, resuming a computation that was stopped."""
    keep_freed_memory()
    unfinished, state_file = file.with_suffix(".part"), file.with_suffix(".part.json")
    state = read_object(state_file)
    if not (_is_of(state, fingerprint) and unfinished.is_file()):
        state = fingerprint | {"precision": extractor.faster_precision(), "done": 0}
        shape = (len(dataset), extractor.views, extractor.width)
        np.lib.format.open_memmap(unfinished, "w+", np.float16, shape).flush()
    array, precision = np.lib.format.open_memmap(unfinished, "r+"), state["precision"]
    done = state["done"]  # all chips in one view after the other
    total = extractor.views * len(dataset)
    task = progress.add_task(extractor.name, total=total, completed=done)
    for view in range(done // len(dataset), extractor.views):
        row = done - view * len(dataset)
        paths = map(dataset.image_path, range(row, len(dataset)))
        try:
            for number, batch in enumerate(chips.batches(paths, BATCH, 1), 1):
                faces = extractor.view(batch, view, row)
                array[row : row + len(faces), view] = extractor.run(faces, precision)
                row, done = row + len(faces), done + len(faces)
                progress.update(task, completed=done)
                if number % _CHECKPOINT_EVERY == 0:
                    array.flush()
                    write_json(state_file, state | {"done": done})
        except PictureError as error:
            message = f"a picture of the dataset cannot be used: {error}; import the data again"
            raise DatasetError(message) from error
    array.flush()
    progress.remove_task(task)
    unfinished.replace(file)
    write_json(file.with_suffix(".json"), fingerprint | {"precision": precision})
    state_file.unlink(missing_ok=True)


def _is_of(state: dict[str, Any], fingerprint: dict[str, Any]) -> bool:
    return fingerprint.items() <= state.items()
