"""How unequal the classes are, and whether every split and fold holds the same mix of faces."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.dataset import FOLDS, SPLITS, split_folds
from agelens.data.exploration.label_statistics import UNLABELLED, Bands, label_words
from agelens.data.labels import RACES
from agelens.inference.distribution import AGES
from agelens.results import Gender

ALPHA = 0.05
LEAST = 20  # faces in a part below which nothing is tested
_EXPECTED = 5.0

_BETAS = (0.99, 0.999, 0.9999)
SMOOTHED = "smoothed square root"
SQUARE_ROOT = "square root"
_SIGMA = 2.0  # years
Weights = NDArray[np.floating]
Rows = NDArray[np.int64]
Words = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Part:
    """The mix of faces in one part of a split, or in one fold."""

    name: str
    faces: int
    mean_age: float | None  # years
    median_age: float | None
    female: float | None  # share of those with a gender
    races: dict[str, float]  # shares of those with a race


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison; `effect` is the Kolmogorov-Smirnov distance or Cramér's V, 0 to 1."""

    where: str  # "split 0" or "folds"
    of: str  # "age", "gender" or "race"
    between: str
    p: float
    effect: float
    years: float | None  # difference of mean ages, first less second
    p_holm: float = 1.0

    @property
    def differs(self) -> bool:
        """Whether it is more than chance, all tests counted."""
        return self.p_holm < ALPHA


@dataclass(frozen=True, slots=True)
class Balance:
    """The mix of every split and fold, and the tests."""

    splits: dict[int, list[Part]]  # train, validation, test
    folds: list[Part]
    tests: list[Comparison]
    identical_across_folds: int  # files whose very bytes are in another fold too
    identical: int  # files whose very bytes are there more than once
    untested: list[str] = field(default_factory=list)  # labels that could not be tested


def compare_splits(samples: pl.DataFrame) -> Balance:
    """Describe and compare the parts of the five splits and the ten folds.

    Ages by the two-sample Kolmogorov-Smirnov test, whose p-values are on the safe side for whole
    years; genders and races by the chi-square test of homogeneity. All tests are one family.
    """
    fold = samples["fold"].to_numpy()
    ages = samples["age"].to_numpy().astype(np.int64)
    words = {"gender": label_words(samples["gender"]), "race": label_words(samples["race"])}
    tests: list[Comparison] = []
    splits = {}
    for number in range(SPLITS):
        where, parts = f"split {number}", split_folds(number)._asdict().items()
        rows = {name: np.flatnonzero(np.isin(fold, own)) for name, own in parts}
        splits[number] = [_part(name, ages, words, part) for name, part in rows.items()]
        for other in ("validation", "test"):
            tests += _ages(where, f"train and {other}", ages[rows["train"]], ages[rows[other]])
        tests += _mixes(where, "train, validation and test", words, list(rows.values()))
    alone = [np.flatnonzero(fold == number) for number in range(FOLDS)]
    for number, own in enumerate(alone):
        tests += _ages("folds", f"{number} and the others", ages[own], ages[fold != number])
    tests += _mixes("folds", "all ten", words, alone)
    tested = {test.of for test in tests}
    copies = samples.filter(pl.col("sha256").is_duplicated())
    crossing = copies.filter(pl.col("fold").n_unique().over("sha256") > 1)
    return Balance(
        splits=splits,
        folds=[_part(str(i), ages, words, rows) for i, rows in enumerate(alone)],
        tests=holm(tests),
        identical_across_folds=crossing.height,
        identical=copies.height,
        untested=[of for of in ("age", "gender", "race") if of not in tested],
    )


def holm(tests: Sequence[Comparison]) -> list[Comparison]:
    """Correct for their number (Holm, 1979): a 5 % chance at most that any is called by chance."""
    p = np.array([test.p for test in tests])
    order = np.argsort(p, kind="stable")
    p[order] = np.maximum.accumulate(np.minimum(1, p[order] * np.arange(len(p), 0, -1)))
    return [replace(test, p_holm=float(one)) for test, one in zip(tests, p, strict=True)]


def _part(name: str, ages: Rows, words: dict[str, Words], rows: Rows) -> Part:
    gender, race = words["gender"][rows], words["race"][rows]
    known, raced = gender != UNLABELLED, race != UNLABELLED
    return Part(
        name, len(rows),
        float(ages[rows].mean()) if len(rows) else None,
        float(np.median(ages[rows])) if len(rows) else None,
        float((gender[known] == Gender.FEMALE.value).mean()) if known.any() else None,
        {r: float((race[raced] == r).mean()) for r in RACES if (words["race"] == r).any()}
        if raced.any() else {},
    )  # fmt: skip


def _ages(where: str, between: str, a: Rows, b: Rows) -> list[Comparison]:
    from scipy.stats import ks_2samp

    if min(len(a), len(b)) < LEAST:
        return []
    found = ks_2samp(a, b, method="asymp")
    years = float(a.mean() - b.mean())
    return [Comparison(where, "age", between, float(found.pvalue), float(found.statistic), years)]


def _mixes(
    where: str, between: str, words: dict[str, Words], parts: list[Rows]
) -> list[Comparison]:
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import association, expected_freq

    if min(map(len, parts)) < LEAST:
        return []
    found = []
    for of, column in words.items():
        classes = [word for word in np.unique(column.astype(str)) if word != UNLABELLED]
        table = np.array([[(column[rows] == word).sum() for word in classes] for rows in parts])
        # The rarest classes go together until every one is expected often enough in every part.
        while table.shape[1] > 1 and expected_freq(table).min() < _EXPECTED:
            table = table[:, np.argsort(-table.sum(axis=0))]
            table = np.column_stack([table[:, :-2], table[:, -2:].sum(axis=1)])
        if table.shape[1] > 1:
            p = float(chi2_contingency(table, correction=False).pvalue)
            size = float(association(table, method="cramer"))
            found.append(Comparison(where, of, between, p, size, years=None))
    return found


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of weighting faces by their class."""

    name: str
    effective: float  # equal faces that N are worth: (sum w)^2 / sum w^2 (Kish, 1965)
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
    """Describe every label that has two classes or more, the age first.

    The schemes weigh a class of n faces by 1 / n; by 1 / sqrt(n), of ages also with n smoothed over
    the neighbours by a normal curve of 2 years, since a face of 34 also teaches what 35 looks like
    (Yang et al., ICML 2021); and by (1 - b) / (1 - b^n) (effective number; Cui et al., CVPR 2019).
    """
    gender, race = label_words(samples["gender"]), label_words(samples["race"])
    band = np.array(bands.names, object)[bands.of]
    known = gender != UNLABELLED
    labels = {
        "age range" if bands.ranges else "age": band if bands.ranges else samples["age"].to_numpy(),
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
    if bands.ranges:
        weights, name = (np.bincount(bands.of) ** -0.5)[bands.of], SQUARE_ROOT
    else:
        ages = samples["age"].to_numpy().astype(np.int64)
        weights, name = _smoothed(np.bincount(ages, minlength=AGES))[ages], SMOOTHED
    table = samples.select("file").with_columns(weight=pl.Series(weights / weights.max()).round(5))
    return name, table


def _imbalance(by: str, classes: list[str], counts: NDArray[np.int64]) -> Imbalance:
    most, least = int(counts.argmax()), len(counts) - 1 - int(counts[::-1].argmin())
    total = float(counts.sum())
    weights: dict[str, Weights] = {"inverse": 1 / counts, SQUARE_ROOT: counts**-0.5}
    for beta in _BETAS:
        weights[f"effective number, {beta:g}"] = (1 - beta) / (1 - beta ** counts.astype(float))
    if by == "age":
        years = np.array(classes, int)
        weights[SMOOTHED] = _smoothed(np.bincount(years, counts, AGES))[years]
    schemes = []
    for name, of in weights.items():
        level = of * total / float((counts * of).sum())
        worth = float((counts * level).sum() ** 2 / (counts * level**2).sum())
        by_class = dict(zip(classes, level.tolist(), strict=True))
        schemes.append(Scheme(name, worth, worth / total, float(of.max() / of.min()), by_class))
    share = counts / counts.sum()
    return Imbalance(
        by, len(classes), (classes[most], int(counts[most])),
        (classes[least], int(counts[least])), float(counts.max() / counts.min()),
        float(np.exp(-(share * np.log(share)).sum())), schemes,
    )  # fmt: skip


def _smoothed(counts: NDArray[np.number]) -> Weights:
    years = np.arange(len(counts))
    kernel = np.exp(-(((years[:, None] - years) / _SIGMA) ** 2) / 2)
    density = kernel @ counts / kernel.sum(axis=1)
    return np.asarray(np.maximum(density, 1e-9) ** -0.5, np.float64)
