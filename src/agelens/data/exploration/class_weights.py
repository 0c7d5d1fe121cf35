"""Class imbalance: how unequal the classes are, and what weights against it would cost.

Weights make rare classes count more, and fewer faces carry the sum: with weights w, N faces are
worth (sum w)^2 / sum w^2 equal ones (Kish, Survey Sampling, 1965). The schemes, of a class
with n faces:

- inverse: 1 / n;
- square root: 1 / sqrt(n);
- effective number: (1 - b) / (1 - b^n), for b of 0.99, 0.999 and 0.9999 (Cui et al., CVPR 2019);
- smoothed square root: 1 / sqrt(n smoothed over neighbouring ages by a normal curve of 2 years),
  since a face of 34 also teaches what 35 looks like (Yang et al., ICML 2021).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.label_statistics import UNLABELLED, Bands, label_words
from agelens.inference.distribution import AGES

Counts = NDArray[np.int64]
Weights = NDArray[np.floating]

BETAS = (0.99, 0.999, 0.9999)
SMOOTHED = "smoothed square root"
SQUARE_ROOT = "square root"
_SIGMA = 2.0  # years


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of weighting faces by their class."""

    name: str
    effective: float  # faces of equal weight that the weighted ones are worth
    share: float  # that is of all faces
    ratio: float  # largest weight over smallest
    by_class: dict[str, float]  # weights, on average 1 over faces


@dataclass(frozen=True, slots=True)
class Imbalance:
    """How unequal the classes of one label are."""

    by: str  # "age", "age range", "gender", "race" or "age band and gender"
    classes: int
    largest: tuple[str, int]
    smallest: tuple[str, int]
    ratio: float  # largest over smallest
    equal_classes: float  # as many equal classes would be as mixed (exp of the entropy)
    schemes: list[Scheme]


def measure_imbalance(samples: pl.DataFrame, bands: Bands) -> list[Imbalance]:
    """Describe every label that has two classes or more, the age first."""
    gender, race = label_words(samples["gender"]), label_words(samples["race"])
    band = np.array(bands.names, object)[bands.of]
    known = gender != UNLABELLED
    labels = {
        "age range" if bands.ranged else "age": band if bands.ranged else samples["age"].to_numpy(),
        "gender": gender[known],
        "race": race[race != UNLABELLED],
        "age band and gender": (band + ", " + gender)[known],
    }
    found = []
    for by, words in labels.items():
        classes, counts = np.unique(words.astype(str), return_counts=True)
        if len(classes) > 1:
            found.append(_imbalance(by, classes.tolist(), counts.astype(np.int64)))
    return found


def face_weights(samples: pl.DataFrame, bands: Bands) -> tuple[str, pl.DataFrame]:
    """Give the mildest scheme's name, and a table of `file` and `weight` (the largest is 1)."""
    if bands.ranged:
        weights, name = (np.bincount(bands.of) ** -0.5)[bands.of], SQUARE_ROOT
    else:
        ages = samples["age"].to_numpy().astype(np.int64)
        weights, name = _smoothed(np.bincount(ages, minlength=AGES))[ages], SMOOTHED
    table = samples.select("file").with_columns(weight=pl.Series(weights / weights.max()).round(5))
    return name, table


def _imbalance(by: str, classes: list[str], counts: Counts) -> Imbalance:
    most, least = int(counts.argmax()), len(counts) - 1 - int(counts[::-1].argmin())
    share = counts / counts.sum()
    weights: dict[str, Weights] = {"inverse": 1 / counts, SQUARE_ROOT: counts**-0.5}
    for beta in BETAS:
        weights[f"effective number, {beta:g}"] = (1 - beta) / (1 - beta ** counts.astype(float))
    if by == "age":
        years = np.array([int(word) for word in classes])
        weights[SMOOTHED] = _smoothed(np.bincount(years, counts, AGES))[years]
    return Imbalance(
        by, len(classes), (classes[most], int(counts[most])),
        (classes[least], int(counts[least])), float(counts.max() / counts.min()),
        float(np.exp(-(share * np.log(share)).sum())),
        [_scheme(name, classes, counts, of) for name, of in weights.items()],
    )  # fmt: skip


def _scheme(name: str, classes: list[str], counts: Counts, weights: Weights) -> Scheme:
    total = float(counts.sum())
    level = weights * total / float((counts * weights).sum())
    worth = float((counts * level).sum() ** 2 / (counts * level**2).sum())
    by_class = dict(zip(classes, level.tolist(), strict=True))
    return Scheme(name, worth, worth / total, float(weights.max() / weights.min()), by_class)


def _smoothed(counts: NDArray[np.number]) -> Weights:
    """Take counts by year (117,); a year's neighbours beyond either end do not exist."""
    years = np.arange(len(counts))
    kernel = np.exp(-(((years[:, None] - years) / _SIGMA) ** 2) / 2)
    density = kernel @ counts / kernel.sum(axis=1)
    return np.asarray(np.maximum(density, 1e-9) ** -0.5, np.float64)
