"""Shortcuts: how well light, sharpness and colour alone predict the labels.

Gradient-boosted trees see no face, only the six figures below, and are measured out of fold.
Any model can exploit what they reach beyond a constant answer. Not all of it is unfair: wrinkles
are sharp.
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
    """How well six figures without a face predict the labels; None where nothing was fitted."""

    faces: int
    age_mae: float | None  # years, out of fold
    median_guess_mae: float | None  # years, of answering the other folds' median age
    gender_auc: float | None  # 0.5 is chance


def measure_shortcuts(samples: pl.DataFrame, quality: pl.DataFrame) -> Shortcuts:
    """Fit trees on the figures, and measure them out of fold on the data set's own folds."""
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    there = quality["brightness"].is_not_null().to_numpy()
    values = quality.select(FIGURES).to_numpy().astype(np.float64)[there]
    ages = samples["age"].to_numpy().astype(np.float64)[there]
    gender = label_words(samples["gender"])[there]
    group = samples["fold"].to_numpy()[there] % _GROUPS
    if len(values) < LEAST or len(np.unique(group)) < _GROUPS or np.ptp(ages) == 0:
        return Shortcuts(len(values), None, None, None)
    trees = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=60, min_samples_leaf=50, random_state=_SEED
    )
    known = np.isin(gender, [one.value for one in Gender])
    with threadpool_limits(1):  # on a busy machine several threads wait for each other
        mae, guess = (
            float(np.abs(_out_of_fold(model, values, ages, group) - ages).mean())
            for model in (trees, DummyRegressor(strategy="median"))
        )
        women = gender[known] == Gender.FEMALE.value
        auc = _gender_auc(values[known], women, group[known])
    return Shortcuts(len(values), mae, guess, auc)


def _gender_auc(
    values: NDArray[np.float64], women: NDArray[np.bool_], group: NDArray[np.integer]
) -> float | None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    counts = [np.bincount(group[women == one], minlength=_GROUPS).min() for one in (True, False)]
    if len(values) < LEAST or min(counts) < _GROUPS:
        return None
    trees = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=50, random_state=_SEED)
    probability = _out_of_fold(trees, values, women, group, method="predict_proba")[:, 1]
    return float(roc_auc_score(women, probability))


def _out_of_fold(
    model: Any, values: NDArray[Any], labels: NDArray[Any], group: NDArray[Any], **options: str
) -> NDArray[np.float64]:
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    folds = PredefinedSplit(group)
    return np.asarray(cross_val_predict(model, values, labels, cv=folds, **options), np.float64)
