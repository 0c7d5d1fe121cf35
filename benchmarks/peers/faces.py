"""Labelled chips of a part of a data set."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from runner import Chip

from agelens.data import chips
from agelens.data.dataset import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """N faces with their labels."""

    paths: list[Path]
    age: NDArray[np.int64]  # (N,), years
    female: NDArray[np.bool_]  # (N,)
    photos: NDArray[np.object_]  # (N,), the files' SHA-256: equal where the files are

    @classmethod
    def of(cls, dataset: Dataset, rows: NDArray[np.int64]) -> Self:
        """Take rows of a data set."""
        samples = dataset.samples[rows]
        return cls(
            [dataset.image_path(name) for name in samples["file"]],
            samples["age"].to_numpy().astype(np.int64),
            (samples["gender"] == "female").to_numpy(),
            samples["sha256"].to_numpy(),
        )

    def __len__(self) -> int:
        return len(self.age)

    def first(self, count: int | None) -> "Faces":
        """Take the first ones; None takes all."""
        return Faces(self.paths[:count], self.age[:count], self.female[:count], self.photos[:count])

    def chips(self, start: int, stop: int) -> Iterator[Chip]:
        """Decode one after the other."""
        return map(chips.read, self.paths[start:stop])

    @property
    def digest(self) -> str:
        """A digest that tells these faces from others."""
        return hashlib.sha256("\n".join(self.photos).encode()).hexdigest()


def spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Choose `count` rows at equal steps, or all where there are fewer."""
    count = min(count, len(rows))
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]


def shuffled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put rows in an order that is always the same, of which every beginning is a fair sample."""
    return np.random.default_rng(len(rows)).permutation(rows)
