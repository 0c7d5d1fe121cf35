"""Labelled faces, the figures of a peer's answers on them, and of ours on the same faces."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from runner import Chip

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.evaluation import bootstrap, metrics
from agelens.evaluation.bootstrap import Weights

Values = NDArray[np.float64]
GROWN = 13  # years


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
        age, female = samples["age"].to_numpy(), (samples["gender"] == "female").to_numpy()
        paths = [dataset.image_path(name) for name in samples["file"]]
        return cls(paths, age.astype(np.int64), female, samples["sha256"].to_numpy())

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
        """A digest that identifies these faces."""
        return hashlib.sha256("\n".join(self.photos).encode()).hexdigest()


def spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Choose `count` rows at equal steps, or all where there are fewer."""
    count = min(count, len(rows))
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]


def shuffled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put rows in an order that is always the same, of which every beginning is a fair sample."""
    return np.random.default_rng(len(rows)).permutation(rows)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A peer's answers on N faces."""

    found: NDArray[np.bool_]  # (N,)
    age: Values  # (N,), years; NaN where none is given
    female: Values  # (N,), 1 or 0; NaN where no gender is given

    @classmethod
    def read(cls, lines: list[dict[str, Any] | None]) -> "Answers":
        """Read the lines of a peer, one for each face.

        Raises ValueError for a gender that is neither "female", "male" nor None.
        """
        genders = {"female": 1.0, "male": 0.0, None: np.nan}
        answers = [line or {} for line in lines]
        for answer in answers:
            if answer.get("gender") not in genders:
                raise ValueError(f"gender {answer['gender']!r}: expected female, male or none")
        return cls(
            np.array([line is not None for line in lines], bool),
            np.array([answer.get("age") for answer in answers], np.float64),  # None becomes NaN
            np.array([genders[answer.get("gender")] for answer in answers], np.float64),
        )


def figures(answers: Answers, faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return the share of faces found, and the figures on them, with intervals.

    `weights` (R, N) are drawn by `bootstrap.resample`.
    """
    found = answers.found
    share = bootstrap.estimate(bootstrap.mean(found.astype(np.float64)), weights)[0]
    return {
        "found": {"faces": int(found.sum()), "share": share.as_dict()},
        "found_without_age": int((found & np.isnan(answers.age)).sum()),
        "found_without_gender": int((found & np.isnan(answers.female)).sum()),
        "figures": _means(values(answers, faces), weights),
    }


def compare(theirs: Answers, ours: Answers, faces: Faces, weights: Weights) -> dict[str, Any]:
    """Return both peers' figures on the faces that both answer, and ours less theirs."""
    mine, others = values(ours, faces), values(theirs, faces)
    figures: dict[str, Any] = {"faces": int((theirs.found & ours.found).sum())}
    gaps = {name: mine[name] - others[name] for name in mine}  # NaN where one does not answer
    for side, each in (("theirs", others), ("ours", mine), ("difference", gaps)):
        both = {name: np.where(np.isnan(gaps[name]), np.nan, each[name]) for name in each}
        figures[side] = _means(both, weights)
    return figures


def values(answers: Answers, faces: Faces) -> dict[str, Values]:
    """Return the figures that are means over faces: one value a face, NaN where none counts."""
    error = answers.age - faces.age
    off = np.abs(metrics.whole_years(answers.age) - faces.age)
    right = np.where(np.isnan(answers.female), np.nan, answers.female == faces.female)
    return {
        "age_mae": np.abs(error),
        "age_bias": error,
        "age_within_5": np.where(np.isnan(off), np.nan, off <= 5),
        "gender_accuracy": right,
        "gender_accuracy_13_and_older": np.where(faces.age >= GROWN, right, np.nan),
    }


def _means(columns: dict[str, Values], weights: Weights) -> dict[str, dict[str, float | None]]:
    means = bootstrap.estimate(bootstrap.mean(np.column_stack(list(columns.values()))), weights)
    return {name: mean.as_dict() for name, mean in zip(columns, means, strict=True)}
