"""Shortcuts: how well the label can be told from light, sharpness and colour alone.

Gradient-boosted trees see no face, only the six figures below, and are measured out of fold.
What they reach beyond a constant answer is there for any model to take. Not all of it is unfair:
wrinkles are sharp.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.age_bands import label_words
from agelens.results import Gender

FIGURES = ("brightness", "contrast", "sharpness", "saturation", "colours", "black_rim")
LEAST = 500  # faces below which nothing is fitted
_GROUPS = 5
_SEED = 0


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """What six figures without a face tell of the labels; None where it was not fitted."""

    faces: int
    age_mae: float | None  # years, out of fold
    median_guess_mae: float | None  # years, of saying the other folds' median age
    gender_auc: float | None  # 0.5 is chance


def measure_shortcuts(samples: pl.DataFrame, quality: pl.DataFrame) -> Shortcuts:
    """Fit and measure, folds of the dataset apart."""
    import sklearn.ensemble  # noqa: F401  # loads the library whose threads are limited below
    from threadpoolctl import threadpool_limits

    there = quality["brightness"].is_not_null().to_numpy()
    values = quality.select(FIGURES).to_numpy().astype(np.float64)[there]
    ages = samples["age"].to_numpy().astype(np.float64)[there]
    gender = label_words(samples["gender"])[there]
    group = samples["fold"].to_numpy()[there] % _GROUPS
    faces = len(values)
    if faces < LEAST or len(np.unique(group)) < _GROUPS or np.ptp(ages) == 0:
        return Shortcuts(faces, None, None, None)
    women = gender == Gender.FEMALE.value
    known = women | (gender == Gender.MALE.value)
    with threadpool_limits(1):  # on a busy machine several threads wait for each other
        said, guess = _ages(values, ages, group)
        auc = _genders(values[known], women[known], group[known])
    return Shortcuts(
        faces, float(np.abs(said - ages).mean()), float(np.abs(guess - ages).mean()), auc
    )


def _ages(
    values: NDArray[Any], ages: NDArray[Any], group: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    said, guess = np.empty(len(ages)), np.empty(len(ages))
    for number in range(_GROUPS):
        rest, own = group != number, group == number
        trees = HistGradientBoostingRegressor(
            loss="absolute_error", max_iter=60, min_samples_leaf=50, random_state=_SEED
        )
        said[own] = trees.fit(values[rest], ages[rest]).predict(values[own])
        guess[own] = np.median(ages[rest])
    return said, guess


def _genders(values: NDArray[Any], women: NDArray[np.bool_], group: NDArray[Any]) -> float | None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    counts = [(women & (group == n)).sum() for n in range(_GROUPS)]
    others = [(~women & (group == n)).sum() for n in range(_GROUPS)]
    if len(values) < LEAST or min(counts + others) < _GROUPS:
        return None
    said = np.empty(len(women))
    for number in range(_GROUPS):
        rest, own = group != number, group == number
        trees = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=50, random_state=_SEED)
        said[own] = trees.fit(values[rest], women[rest]).predict_proba(values[own])[:, 1]
    return float(roc_auc_score(women, said))
