"""Statistics of the labels: counts, spread, heaps at favourite ages, gaps, and groups.

A heap is an age labelled far more often than the ages around it: labels that were guessed
gather there. Whipple's index measures how many ages end in 0 or 5, as censuses do (United Nations,
Demographic Yearbook, technical notes): 100 where no last digit is preferred, 500 where there is no
other.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.age_bands import UNLABELLED, Bands, label_words
from agelens.data.labels import RACES
from agelens.inference.distribution import AGES
from agelens.results import Gender

GENDERS = (Gender.FEMALE.value, Gender.MALE.value, UNLABELLED)
_RACES = (*RACES, UNLABELLED)

_AROUND = 3  # years to either side that an age is compared with
_RATIO = 1.5  # of a heap, to the median of its neighbours (a dip: the inverse)
_EDGE_RATIO = 2.0  # of a heap with neighbours on one side only, where counts may just fall
_SIGMAS = 4.0  # by which a count must leave what chance does to the neighbours' median
_LEAST = 20  # faces in a heap
_WHIPPLE = (23, 62)  # years, both included; the index is defined on these
_WHIPPLE_LEAST = 200  # faces in there


@dataclass(frozen=True, slots=True)
class Spread:
    """How ages are spread, in years."""

    faces: int
    mean: float
    deviation: float  # standard deviation; 0 for one face
    low: float
    quarter: float  # a quarter is younger
    median: float
    three_quarters: float
    high: float


@dataclass(frozen=True, slots=True)
class OddAge:
    """An age whose count leaves its neighbours'."""

    age: int  # years
    faces: int
    around: float  # median of the counts up to 3 years to either side

    @property
    def ratio(self) -> float:
        """How many times as often as its neighbours it is labelled."""
        return self.faces / max(self.around, 1.0)


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """Counts, spread and oddities of the labels."""

    faces: int
    people: int | None  # where the source tells them apart
    ranges: int  # faces with a range for an age
    age: Spread
    median_guess_mae: float  # years; the error of always saying the median age
    ages: dict[int, int]  # faces by whole year, without years that have none
    ages_of_half: int  # fewest ages that together hold half of the faces
    heaps: list[OddAge]  # largest excess first; none where ages are ranges
    dips: list[OddAge]
    missing: list[int]  # years without a face between the youngest and the oldest
    beyond_90: dict[int, int]  # faces by whole year, 91 and older
    last_digits: list[int] | None  # faces by last digit of the age, of the years of the index
    whipple: float | None  # Whipple's index; None with ranges or too few faces
    whipple_faces: int
    genders: dict[str, int]
    races: dict[str, int]
    bands: list[str]
    band_by_gender: dict[str, list[int]]  # faces by band, for each gender there is
    band_by_race: dict[str, list[int]]
    age_by_gender: dict[str, Spread]
    age_by_race: dict[str, Spread]
    female_by_race: dict[str, float]  # share of those with a gender; races with 20 and more

    @property
    def ranged(self) -> bool:
        """Whether some ages are ranges, so that single years mean nothing."""
        return self.ranges > 0


def describe_labels(samples: pl.DataFrame, bands: Bands) -> LabelStatistics:
    """Count the labels of a dataset's table (N rows, at least one)."""
    ages = samples["age"].to_numpy().astype(np.int64)
    counts = np.bincount(ages, minlength=AGES)
    heaps, dips = ([], []) if bands.ranged else _odd(counts)
    missing = [a for a in range(ages.min(), ages.max() + 1) if not counts[a] and not bands.ranged]
    first, last = _WHIPPLE
    inside = ages[(ages >= first) & (ages <= last)]
    indexed = not bands.ranged and len(inside) >= _WHIPPLE_LEAST
    digits = np.bincount(inside % 10, minlength=10) if indexed else None
    gender, race = label_words(samples["gender"]), label_words(samples["race"])
    by_gender, by_race = _crossed(gender, GENDERS, bands), _crossed(race, _RACES, bands)
    women = gender == Gender.FEMALE.value
    known = gender != UNLABELLED
    return LabelStatistics(
        faces=len(ages),
        people=samples["subject"].n_unique() if "subject" in samples.columns else None,
        ranges=bands.ranges,
        age=spread(ages),
        median_guess_mae=float(np.abs(ages - np.median(ages)).mean()),
        ages={int(a): int(counts[a]) for a in np.flatnonzero(counts)},
        ages_of_half=int(np.searchsorted(np.cumsum(np.sort(counts)[::-1]), len(ages) / 2) + 1),
        heaps=heaps,
        dips=dips,
        missing=missing,
        beyond_90={int(a): int(counts[a]) for a in np.flatnonzero(counts) if a > 90},
        last_digits=None if digits is None else [int(count) for count in digits],
        whipple=None if digits is None else float(500 * (digits[0] + digits[5]) / digits.sum()),
        whipple_faces=len(inside) if indexed else 0,
        genders={word: sum(counts) for word, counts in by_gender.items()},
        races={word: sum(counts) for word, counts in by_race.items()},
        bands=bands.names,
        band_by_gender=by_gender,
        band_by_race=by_race,
        age_by_gender={word: spread(ages[gender == word]) for word in by_gender},
        age_by_race={word: spread(ages[race == word]) for word in by_race},
        female_by_race={
            r: float(women[(race == r) & known].mean())
            for r in RACES
            if ((race == r) & known).sum() >= _LEAST
        },
    )  # fmt: skip


def spread(ages: NDArray[np.int64]) -> Spread:
    """Describe ages (N,), at least one."""
    low, quarter, median, upper, high = np.percentile(ages, [0, 25, 50, 75, 100]).tolist()
    mean, deviation = float(ages.mean()), float(ages.std())
    return Spread(len(ages), mean, deviation, low, quarter, median, upper, high)


def around_each(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the median count of the ages up to 3 years to either side, for counts by year (117,).

    Only years from the youngest to the oldest face count; NaN where fewer than 3 of them are near.
    """
    there = np.flatnonzero(counts)
    first, last = int(there.min()), int(there.max())
    medians = np.full(len(counts), np.nan)
    for age in range(first, last + 1):
        near = range(max(first, age - _AROUND), min(last, age + _AROUND) + 1)
        others = [int(counts[other]) for other in near if other != age]
        if len(others) >= _AROUND:
            medians[age] = np.median(others)
    return medians


def _odd(counts: NDArray[np.int64]) -> tuple[list[OddAge], list[OddAge]]:
    """Find heaps and dips among counts by year (117,)."""
    medians = around_each(counts)
    there = np.flatnonzero(np.isfinite(medians))
    heaps, dips = [], []
    for age in map(int, there):
        around, faces = float(medians[age]), int(counts[age])
        off = (faces - around) / max(around, 1.0) ** 0.5
        beside = [int(counts[a]) for a in (age - 1, age + 1) if there[0] <= a <= there[-1]]
        ratio = _RATIO if len(beside) == 2 else _EDGE_RATIO
        if faces >= max(_LEAST, ratio * around, *beside) and off > _SIGMAS:
            heaps.append(OddAge(age, faces, around))
        if faces <= min(around / ratio, *beside) and off < -_SIGMAS:
            dips.append(OddAge(age, faces, around))
    heaps.sort(key=lambda one: one.around - one.faces)
    dips.sort(key=lambda one: one.faces - one.around)
    return heaps, dips


def _crossed(
    words: NDArray[np.object_], order: tuple[str, ...], bands: Bands
) -> dict[str, list[int]]:
    """Count faces by word and band, for the words that occur."""
    return {
        word: np.bincount(bands.of[words == word], minlength=len(bands.names)).tolist()
        for word in order
        if (words == word).any()
    }
