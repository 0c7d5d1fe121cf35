"""Labelled chips of a part of a dataset."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from comparison import Truth
from numpy.typing import NDArray
from runner import Chip

from agelens.data import chips
from agelens.data.dataset import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """N of them."""

    paths: list[Path]
    truth: Truth
    photos: NDArray[np.object_]  # (N,), the files' SHA-256: equal where the files are

    @classmethod
    def of(cls, dataset: Dataset, rows: NDArray[np.int64]) -> "Faces":
        """Take rows of a dataset."""
        samples = dataset.samples[rows]
        age, female = samples["age"].to_numpy().astype(np.int64), samples["gender"] == "female"
        return cls(
            [dataset.image_path(name) for name in samples["file"]],
            Truth(age, female.to_numpy()),
            samples["sha256"].to_numpy(),
        )

    def __len__(self) -> int:
        return len(self.paths)

    def first(self, count: int | None) -> "Faces":
        """Give the first ones; None: all."""
        age, female = self.truth.age[:count], self.truth.female[:count]
        return Faces(self.paths[:count], Truth(age, female), self.photos[:count])

    def chips(self, start: int, stop: int) -> Iterator[Chip]:
        """Decode one after the other."""
        return map(chips.read, self.paths[start:stop])

    @property
    def digest(self) -> str:
        """Tell these faces from others."""
        return hashlib.sha256("\n".join(self.photos).encode()).hexdigest()


def spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Choose `count` rows at equal steps, or all where there are fewer."""
    count = min(count, len(rows))
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]


def shuffled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put rows in an order that is always the same, of which every beginning is a fair sample."""
    return np.random.default_rng(len(rows)).permutation(rows)
