"""Whether the parts of every split, and the folds, hold the same mix of faces.

Ages are compared by the two-sample Kolmogorov-Smirnov test, whose p-values are on the safe side
for whole years; genders and races by the chi-square test of homogeneity, rare classes
put together until each is expected 5 times in each part. All tests are one family: p-values
are Holm's (1979), and with N faces small differences show, so each comes with its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.label_statistics import UNLABELLED, label_words
from agelens.data.folds import FOLDS, SPLITS, split_folds
from agelens.data.labels import RACES
from agelens.results import Gender

ALPHA = 0.05
LEAST = 20  # faces in a part below which nothing is tested
_EXPECTED = 5.0

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
    """Describe and compare the parts of the five splits and the ten folds."""
    fold = samples["fold"].to_numpy()
    ages = samples["age"].to_numpy().astype(np.int64)
    words = {"gender": label_words(samples["gender"]), "race": label_words(samples["race"])}
    tests: list[Comparison] = []
    splits = {}
    for number in range(SPLITS):
        folds, where = split_folds(number), f"split {number}"
        rows = {
            name: np.flatnonzero(np.isin(fold, getattr(folds, name)))
            for name in ("train", "validation", "test")
        }
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
    """Correct for their number: no more than a 5 % chance that any is called by chance."""
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
    if min(map(len, parts)) < LEAST:
        return []
    found = []
    for of, column in words.items():
        classes = [word for word in np.unique(column.astype(str)) if word != UNLABELLED]
        table = np.array([[(column[rows] == word).sum() for word in classes] for rows in parts])
        if tested := _homogeneity(table):
            found.append(Comparison(where, of, between, *tested, years=None))
    return found


def _homogeneity(table: NDArray[np.int64]) -> tuple[float, float] | None:
    """Give p and Cramér's V of counts (parts, classes); None where it cannot be tested."""
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import association, expected_freq

    # The rarest classes go together until every one is expected often enough in every part.
    while True:
        table = table[:, np.argsort(-table.sum(axis=0))]
        if table.shape[1] < 2:
            return None
        if expected_freq(table).min() >= _EXPECTED:
            break
        table = np.column_stack([table[:, :-2], table[:, -2:].sum(axis=1)])
    found = chi2_contingency(table, correction=False)
    return float(found.pvalue), float(association(table, method="cramer"))
