"""Batches of a data set's decoded chips: in order as they are, or shuffled and augmented."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from agelens.data.chips import cached
from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.distributed import SINGLE_WORKER, Worker
from agelens.training.recipes.config import Config

VALIDATION_BATCH = 128


@dataclass(frozen=True, slots=True)
class Batch:
    """B faces: their rows in the data set, chips (or their features, float16 (B, F)) and labels."""

    rows: NDArray[np.int64]  # (B,)
    chips: NDArray[np.uint8] | NDArray[np.float16]  # (B, S, S, 3) RGB
    ages: NDArray[np.int64]  # (B,) years
    female: NDArray[np.int64]  # (B,) 0 or 1
    weights: NDArray[np.float32] | None = None  # (B,) sample weights; None: all 1


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches of some of a data set's faces; the same seed and epoch give the same batches."""

    chips: NDArray[Any]  # of the whole data set
    rows: NDArray[np.int64]  # (N,) the faces to load
    ages: NDArray[np.int64]  # (N,) years
    female: NDArray[np.int64]  # (N,) 0 or 1
    batch_size: int
    weights: NDArray[np.float32] | None = None  # (N,)
    worker: Worker = SINGLE_WORKER  # yields its part of each batch

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def with_features(self, features: NDArray[np.float16]) -> "FeatureLoader":
        """Return a loader of the same faces that yields features (N, 2, F) in place of chips."""
        return FeatureLoader(**{**vars(self), "chips": features})

    def in_order(self) -> Iterator[Batch]:
        """Yield every face once, in order and unchanged."""
        own = self.worker.shard(np.arange(len(self.rows)))
        for start in range(0, len(own), self.batch_size):
            indices = own[start : start + self.batch_size]
            yield self._batch(indices, self._unchanged(self.rows[indices]))

    def shuffled(self, augment: Augment, size: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield every face once, in random order, augmented to `size` pixels.

        The next batch is prepared in a thread while the caller works on the current one.
        """
        shards = [self.worker.shard(group) for group in self._shuffled_indices(seed, epoch)]

        def prepare(indices: NDArray[np.int64]) -> Batch:
            chips = np.empty((len(indices), size, size, 3), np.uint8)
            for place, index in enumerate(indices):
                random = np.random.default_rng([seed, epoch, int(index)])
                chips[place] = augment(self.chips[self.rows[index]], size, random)
            return self._batch(indices, chips)

        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(prepare, shards[0])
            for shard in shards[1:]:
                batch = upcoming.result()
                upcoming = pool.submit(prepare, shard)
                yield batch
            yield upcoming.result()

    def _unchanged(self, rows: NDArray[np.int64]) -> Any:
        return self.chips[rows]

    def _shuffled_indices(self, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        order = np.random.default_rng([seed, epoch]).permutation(len(self.rows))
        groups = np.split(order, range(self.batch_size, len(order), self.batch_size))
        # batch statistics need two faces, and each worker one
        if len(groups) > 1 and len(groups[-1]) < max(2, self.worker.world_size):
            groups[-2:] = [np.concatenate(groups[-2:])]
        return groups

    def _batch(self, indices: NDArray[np.int64], chips: Any) -> Batch:
        weights = None if self.weights is None else self.weights[indices]
        labels = self.ages[indices], self.female[indices], weights
        return Batch(self.rows[indices], np.ascontiguousarray(chips), *labels)


class FeatureLoader(Loader):
    """Batches of features of chips, mirror images and views: `chips` are float16 (N, 2 + V, F).

    For frozen backbones, where chips are only mirrored or their changed views are known.
    """

    def _unchanged(self, rows: NDArray[np.int64]) -> Any:
        return self.chips[rows, 0]

    def shuffled(self, augment: Augment, size: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield every face once, in random order, in a random view; `size` is ignored.

        The chip as it is, or mirrored, counts as one view.
        """
        random, views = np.random.default_rng([seed, epoch, 1]), self.chips.shape[1] - 2
        for group in self._shuffled_indices(seed, epoch):
            drawn = (random.random(len(group)) < augment.flip).astype(np.int64)
            if views:
                view = random.integers(views + 1, size=len(group))
                drawn = np.where(view, view + 1, drawn)
            indices, drawn = self.worker.shard(group), self.worker.shard(drawn)
            yield self._batch(indices, self.chips[self.rows[indices], drawn])


def labelled_loader(
    dataset: Dataset, chips: NDArray[np.uint8], rows: NDArray[np.int64],
    batch_size: int = VALIDATION_BATCH, weights: NDArray[np.float32] | None = None,
) -> Loader:  # fmt: skip
    """Return a loader of some rows of a data set; `weights` (N,) are those of all its faces."""
    faces = dataset.samples[rows]
    ages = faces["age"].to_numpy().astype(np.int64)
    female = (faces["gender"] == "female").to_numpy().astype(np.int64)
    return Loader(chips, rows, ages, female, batch_size, None if weights is None else weights[rows])


def make_loaders(
    config: Config, dataset: Dataset, progress: Progress, weights: NDArray[np.float32] | None = None
) -> tuple[Loader, Loader]:
    """Return loaders of a recipe's training faces and of its validation faces.

    `weights` (N,) are the sample weights of all faces; training faces of weight 0 are left out.
    Raises TrainingError where fewer than two are left.
    """
    chips, split = cached(dataset, progress), dataset.split(config.data.split)
    shuffled = np.random.default_rng(config.run.seed).permutation(split.train)
    if weights is not None:
        shuffled = shuffled[weights[shuffled] > 0]
        if len(shuffled) < 2:
            raise TrainingError(
                f"data.exclude and data.downweight leave {len(shuffled)} training faces: "
                "expected at least 2; take lines out of the file"
            )
    train = np.sort(shuffled[: max(round(len(shuffled) * config.data.share), 2)])
    return (
        labelled_loader(dataset, chips, train, config.optimizer.batch, weights),
        labelled_loader(dataset, chips, split.validation),
    )
