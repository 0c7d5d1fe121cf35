"""Statistics of the labels: bands of age, counts, spread, heaps at favourite ages, and groups.

A heap is an age labelled far more often than those around it: guessed labels gather there.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.labels import OLDEST, RACES
from agelens.inference.distribution import AGES
from agelens.results import Gender

UNLABELLED = "not told"  # as a key of JSON files

LAST = 90  # years from which there is one band: few faces are older
MOST = 20  # more ranges than this are too many to show
_AROUND = 3  # years to either side that an age is compared with
_RATIO = 1.5  # of a heap, to the median of its neighbours (a dip: the inverse)
_EDGE_RATIO = 2.0  # of a heap with neighbours on one side only, where counts may just fall
_SIGMAS = 4.0  # by which a count must leave what chance does to the neighbours' median
_LEAST = 20  # faces in a heap
_WHIPPLE = (23, 62)  # years, both included; the index is defined on these
_WHIPPLE_LEAST = 200  # faces in there


@dataclass(frozen=True, slots=True)
class Bands:
    """The band of every face: decades, or the source's own ranges where it has no exact ages."""

    names: list[str]  # youngest first; only bands with faces
    of: NDArray[np.int64]  # (N,), place in `names`
    ranges: int  # faces with a range for an age; if there are some, single years mean nothing

    def rows(self, band: int) -> NDArray[np.int64]:
        """Give the rows of a band."""
        return np.flatnonzero(self.of == band)


def bands_of(samples: pl.DataFrame) -> Bands:
    """Put every face of a dataset's table in its band."""
    age = samples["age"]
    ends = np.column_stack([
        (samples[name].fill_null(age) if name in samples.columns else age).to_numpy()
        for name in ("age_low", "age_high")
    ]).astype(np.int64)  # fmt: skip
    ranges = int((ends[:, 0] < ends[:, 1]).sum())
    if ranges < len(ends) or len(np.unique(ends, axis=0)) > MOST:
        start = np.minimum(age.to_numpy().astype(np.int64) // 10 * 10, LAST)
        ends = np.column_stack([start, np.where(start == LAST, OLDEST, start + 9)])
    found, of = np.unique(ends, axis=0, return_inverse=True)
    names = [
        f"{first}+" if last >= OLDEST else f"{first}-{last}" if first < last else str(first)
        for first, last in found.tolist()
    ]
    return Bands(names, of.reshape(-1).astype(np.int64), ranges)


def label_words(column: pl.Series) -> NDArray[np.object_]:
    """Give the words of a label column, with "not told" for nulls."""
    return column.fill_null(UNLABELLED).to_numpy().astype(object)


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
    whipple: float | None  # None with ranges or too few faces; 100: no digit preferred; to 500
    whipple_faces: int  # of the index, the share that ends in 0 or 5, as the United Nations take it
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
    by_year = {int(age): int(counts[age]) for age in np.flatnonzero(counts)}
    heaps, dips = ([], []) if bands.ranges else _odd(counts)
    years = () if bands.ranges else range(ages.min(), ages.max() + 1)
    inside = ages[(ages >= _WHIPPLE[0]) & (ages <= _WHIPPLE[1])]
    indexed = not bands.ranges and len(inside) >= _WHIPPLE_LEAST
    digits = np.bincount(inside % 10, minlength=10).tolist() if indexed else None
    gender, race = label_words(samples["gender"]), label_words(samples["race"])
    by_gender, by_race = _crossed(gender, tuple(Gender), bands), _crossed(race, RACES, bands)
    gendered = {name: gender[(race == name) & (gender != UNLABELLED)] for name in RACES}
    return LabelStatistics(
        faces=len(ages),
        people=samples["subject"].n_unique() if "subject" in samples.columns else None,
        ranges=bands.ranges,
        age=_spread(ages),
        median_guess_mae=float(np.abs(ages - np.median(ages)).mean()),
        ages=by_year,
        ages_of_half=int(np.searchsorted(np.cumsum(np.sort(counts)[::-1]), len(ages) / 2) + 1),
        heaps=heaps,
        dips=dips,
        missing=[age for age in years if age not in by_year],
        beyond_90={age: count for age, count in by_year.items() if age > 90},
        last_digits=digits,
        whipple=500 * (digits[0] + digits[5]) / sum(digits) if digits else None,
        whipple_faces=len(inside) if indexed else 0,
        genders={word: sum(counts) for word, counts in by_gender.items()},
        races={word: sum(counts) for word, counts in by_race.items()},
        bands=bands.names,
        band_by_gender=by_gender,
        band_by_race=by_race,
        age_by_gender={word: _spread(ages[gender == word]) for word in by_gender},
        age_by_race={word: _spread(ages[race == word]) for word in by_race},
        female_by_race={
            name: float((own == Gender.FEMALE.value).mean())
            for name, own in gendered.items()
            if len(own) >= _LEAST
        },
    )


def _spread(ages: NDArray[np.int64]) -> Spread:
    ends = np.percentile(ages, [0, 25, 50, 75, 100]).tolist()
    return Spread(len(ages), float(ages.mean()), float(ages.std()), *ends)


def around_each(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the median count of the ages up to 3 years to either side, for counts by year (117,).

    Only years from the youngest to the oldest face count; NaN where fewer than 3 of them are near.
    """
    years, there = np.arange(len(counts)), np.flatnonzero(counts)
    inside = (years >= there.min()) & (years <= there.max())
    padded = np.pad(np.where(inside, counts, np.nan), _AROUND, constant_values=np.nan)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1).copy()
    near[:, _AROUND] = np.nan  # not the age itself
    enough = inside & (np.isfinite(near).sum(axis=1) >= _AROUND)
    medians = np.full(len(counts), np.nan)
    medians[enough] = np.nanmedian(near[enough], axis=1)
    return medians


def _odd(counts: NDArray[np.int64]) -> tuple[list[OddAge], list[OddAge]]:
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
    return {
        word: np.bincount(bands.of[words == word], minlength=len(bands.names)).tolist()
        for word in dict.fromkeys((*order, UNLABELLED))
        if (words == word).any()
    }
