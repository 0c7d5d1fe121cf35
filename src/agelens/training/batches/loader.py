"""Training chips: the decoded chips of a dataset, cut into batches, plain or augmented."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from agelens.training.batches.augmentation import Augment
from agelens.training.batches.distributed import ALONE, Share


@dataclass(frozen=True, slots=True)
class Batch:
    """B faces: chips uint8 (B, S, S, 3) RGB, ages in years (B,), female 0 or 1 (B,).

    `rows` are the faces' places in the dataset, `weights` float32 (B,) how much each counts;
    None: all the same. Where a backbone is frozen, `chips` may be its features, float16 (B, F).
    """

    rows: NDArray[np.int64]
    chips: NDArray[np.uint8] | NDArray[np.float16]
    ages: NDArray[np.int64]
    female: NDArray[np.int64]
    weights: NDArray[np.float32] | None = None


class Loader:
    """Batches of some of a dataset's chips; the same seed and epoch give the same batches."""

    def __init__(
        self,
        chips: NDArray[np.uint8],
        rows: NDArray[np.int64],
        ages: NDArray[np.int64],
        female: NDArray[np.int64],
        batch: int,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        """Take all chips, and of the faces wanted the rows in them, ages, female flags, weights."""
        self._chips = chips
        self._rows = rows
        self.ages = ages
        self.female = female
        self._batch = batch
        self._weights = weights
        self._share = ALONE

    @property
    def faces(self) -> int:
        """How many faces there are."""
        return len(self._rows)

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch)

    def shared(self, share: Share) -> Self:
        """Give a loader of the same batches that gives one worker's share of each."""
        loader = copy.copy(self)
        loader._share = share
        return loader

    def plain(self) -> Iterator[Batch]:
        """Give every face once, in order, as it is."""
        for picked in self._in_order():
            yield self._take(picked, self._chips[self._rows[picked]])

    def _in_order(self) -> Iterator[NDArray[np.int64]]:
        mine = self._share.of(np.arange(len(self._rows)))
        for start in range(0, len(mine), self._batch):
            yield mine[start : start + self._batch]

    def shuffled(self, augment: Augment, size: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Give every face once, in random order, augmented to `size` pixels.

        One batch is prepared in a thread while the caller works on the one before.
        """
        groups = [self._share.of(group) for group in self._groups(seed, epoch)]

        def prepare(picked: NDArray[np.int64]) -> Batch:
            made = np.empty((len(picked), size, size, 3), np.uint8)
            for place, index in enumerate(picked):
                random = np.random.default_rng([seed, epoch, int(index)])
                made[place] = augment(self._chips[self._rows[index]], size, random)
            return self._take(picked, made)

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(prepare, groups[0])
            for following in groups[1:]:
                ready = waiting.result()
                waiting = pool.submit(prepare, following)
                yield ready
            yield waiting.result()

    def _groups(self, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        order = np.random.default_rng([seed, epoch]).permutation(len(self._rows))
        groups = [order[i : i + self._batch] for i in range(0, len(order), self._batch)]
        # batch statistics need two faces, and each worker one
        if len(groups) > 1 and len(groups[-1]) < max(2, self._share.workers):
            groups[-2:] = [np.concatenate(groups[-2:])]
        return groups

    def remembering(self, features: NDArray[np.float16]) -> "Recall":
        """Give a loader of the same faces that gives features (N, 2, F) in place of chips."""
        return Recall(self, features)

    def _take(
        self, picked: NDArray[np.int64], chips: NDArray[np.uint8] | NDArray[np.float16]
    ) -> Batch:
        whole: Any = np.ascontiguousarray(chips)
        return Batch(
            self._rows[picked], whole, self.ages[picked], self.female[picked],
            None if self._weights is None else self._weights[picked],
        )  # fmt: skip


class Recall(Loader):
    """Batches of features that a frozen backbone gave before, of chips and of their mirror images.

    For recipes that change a chip in no other way than by mirroring it.
    """

    def __init__(self, like: Loader, features: NDArray[np.float16]) -> None:
        """Take the loader whose place it takes, and features (N, 2, F) of the whole dataset."""
        super().__init__(
            like._chips, like._rows, like.ages, like.female, like._batch, like._weights
        )
        self._features = features

    def plain(self) -> Iterator[Batch]:
        """Give every face once, in order, as it is."""
        for picked in self._in_order():
            yield self._take(picked, self._features[self._rows[picked], 0])

    def shuffled(self, augment: Augment, size: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Give every face once, in random order, mirrored by chance; `size` does not matter."""
        random = np.random.default_rng([seed, epoch, 1])
        for group in self._groups(seed, epoch):
            sides = (random.random(len(group)) < augment.flip).astype(np.int64)
            picked, side = self._share.of(group), self._share.of(sides)
            yield self._take(picked, self._features[self._rows[picked], side])
