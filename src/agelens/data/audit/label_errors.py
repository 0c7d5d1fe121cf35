"""Rank labels by how implausible a model that never saw the face (out of fold) finds them.

Confident learning (Northcutt, Jiang and Chuang, 2021) estimates how many labels are wrong by how
often the model is as sure of another label as it commonly is of right ones; which, by ranking
them. benchmarks/label_errors.py compares this ranking with six others, such as cleanlab's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.facts import percent
from agelens.errors import DatasetError
from agelens.inference import distribution
from agelens.results import Gender

WINDOW = 10  # years to either side of an age that count as one with it
_NEAR = 5.0  # years around an age over which the usual sureness of it is averaged
_LEAST = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFoldPredictions:
    """Predictions of N faces; rows of NaN where there is none."""

    age_probabilities: NDArray[np.float64]  # (N, 117)
    female_probability: NDArray[np.float64]  # (N,)

    @property
    def available(self) -> NDArray[np.bool_]:
        """Which faces have a prediction, (N,)."""
        return np.isfinite(self.female_probability)


def read_predictions(path: Path, samples: pl.DataFrame) -> OutOfFoldPredictions:
    """Read the predictions for the samples of a data set, by file name.

    Raises DatasetError for a file without the columns of  agelens data out-of-fold,  or that
    knows none of the faces.
    """
    try:
        columns = ["file", "age_probabilities", "female_probability"]
        table = pl.read_parquet(path, columns=columns).drop_nulls()
    except Exception as error:  # polars' exceptions share no public base class
        raise DatasetError(
            f"cannot read out-of-fold answers from {str(path)!r} ({error}): expected the file "
            "that  agelens data out-of-fold DATA  writes"
        ) from error
    place = {file: row for row, file in enumerate(samples["file"])}
    table = table.filter(pl.col("file").is_in(list(place)))
    if not table.height:
        raise DatasetError(
            f"{str(path)!r} answers none of the {len(samples):,} faces of this dataset: make it "
            "with  agelens data out-of-fold DATA"
        )
    try:
        spread = table["age_probabilities"].cast(pl.Array(pl.Float64, distribution.AGES))
    except pl.exceptions.PolarsError as error:
        raise DatasetError(
            f"{str(path)!r}: expected {distribution.AGES} age_probabilities for each face"
        ) from error
    rows = [place[file] for file in table["file"]]
    predicted = OutOfFoldPredictions(
        np.full((len(samples), distribution.AGES), np.nan), np.full(len(samples), np.nan)
    )
    predicted.age_probabilities[rows] = spread.to_numpy()
    predicted.female_probability[rows] = table["female_probability"].to_numpy()
    return predicted


@dataclass(frozen=True, slots=True, eq=False)
class LabelScores:
    """Scores of N labels; NaN, and never suspect, where there is no prediction."""

    score: NDArray[np.float64]  # (N,), the larger the less plausible
    plausibility: NDArray[np.float64]  # (N,), 0 to 1: chance of the label over that of the best
    suspect: NDArray[np.bool_]  # (N,)

    def order(self) -> NDArray[np.int64]:
        """Give the rows, the least plausible first, those without a prediction last."""
        return np.argsort(-np.nan_to_num(self.score, nan=-np.inf), kind="stable")

    def suspects(self) -> NDArray[np.int64]:
        """Give the rows of the suspect labels, the least plausible first."""
        order = self.order()
        return order[self.suspect[order]]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredLabels:
    """Scores of both labels of N faces, and the predictions they are compared with."""

    age: LabelScores
    gender: LabelScores
    age_median: NDArray[np.float64]  # (N,), years
    age_low: NDArray[np.float64]  # (N,), years; a tenth of the mass is below
    age_high: NDArray[np.float64]  # (N,), years; a tenth of the mass is above
    female_probability: NDArray[np.float64]  # (N,)

    def predicted_age(self, row: int) -> str:
        """Write the predicted age of a face, with the range that holds it 8 times in 10."""
        low, high = self.age_low[row], self.age_high[row]
        return f"{self.age_median[row]:.0f} (8 in 10: {low:.0f} to {high:.0f})"

    def predicted_gender(self, row: int) -> str:
        """Write the predicted gender of a face, with its probability."""
        share = float(self.female_probability[row])
        gender = Gender.FEMALE if share >= 0.5 else Gender.MALE
        return f"{gender.value} ({percent(max(share, 1 - share))})"


def score_labels(samples: pl.DataFrame, predicted: OutOfFoldPredictions) -> ScoredLabels:
    """Score the labels of N samples by out-of-fold predictions."""
    there = predicted.available
    labelled = there & samples["gender"].is_not_null().to_numpy()
    female = (samples["gender"] == "female").fill_null(False).to_numpy()
    spread = predicted.age_probabilities[there]
    ages = samples["age"].to_numpy().astype(np.int64)[there]
    return ScoredLabels(
        _placed(score_ages(ages, spread), there),
        _placed(score_genders(female[labelled], predicted.female_probability[labelled]), labelled),
        _spread(distribution.median(spread), there),
        _spread(distribution.quantile(spread, 0.1), there),
        _spread(distribution.quantile(spread, 0.9), there),
        predicted.female_probability,
    )


def score_ages(ages: NDArray[np.int64], probabilities: NDArray[np.floating]) -> LabelScores:
    """Score the ages (N,) of faces by their out-of-fold distributions (N, 117).

    Ages are numbers, so "another" age means a window of ages that does not touch the label's own.
    """
    grid = np.arange(distribution.AGES)
    upto = np.cumsum(np.pad(probabilities, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    last = np.minimum(grid + WINDOW + 1, distribution.AGES)
    mass = upto[:, last] - upto[:, np.maximum(grid - WINDOW, 0)]  # of the window around every age
    own = mass[np.arange(len(ages)), ages]
    # how sure the model commonly is of age a, over the faces that are labelled about a
    near = np.exp(-((grid[:, None] - grid) ** 2) / (2 * _NEAR**2))
    faces = near @ np.bincount(ages, minlength=len(grid))
    usual = near @ np.bincount(ages, own, minlength=len(grid)) / np.maximum(faces, _LEAST)
    elsewhere = np.abs(grid - ages[:, None]) > 2 * WINDOW
    # at ages with few faces little is usual, so it must be more likely than not as well
    sure = ((mass >= np.maximum(usual, 0.5)) & elsewhere).any(axis=1)
    best = mass.max(axis=1, initial=_LEAST)
    return _scores(ranked_score(ages, probabilities), own / best, int(sure.sum()))


def score_genders(female: NDArray[np.bool_], probability: NDArray[np.floating]) -> LabelScores:
    """Score the genders (N,) of faces by their out-of-fold probabilities of female (N,)."""
    own = np.where(female, probability, 1 - probability).astype(np.float64)
    usual = np.array([own[female == one].mean() if (female == one).any() else 1 for one in (0, 1)])
    sure = 1 - own >= usual[1 - female.astype(np.int64)]
    return _scores(1 - own, own / np.maximum(own, 1 - own), int(sure.sum()))


def ranked_score(
    ages: NDArray[np.int64], probabilities: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Give the continuous ranked probability score of labels, years (N,).

    It counts by how many years a label is off as well as how sure the model is (Gneiting and
    Raftery, 2007).
    """
    upto = np.cumsum(probabilities, axis=1, dtype=np.float64)
    reached = np.arange(distribution.AGES) >= ages[:, None]
    return np.asarray(((upto - reached) ** 2).sum(axis=1), np.float64)


def _scores(
    score: NDArray[np.float64], plausibility: NDArray[np.float64], wrong: int
) -> LabelScores:
    suspect = np.zeros(len(score), bool)
    suspect[np.argsort(-score, kind="stable")[:wrong]] = True
    # whatever the estimate, a label that is half as likely as the best is not suspect
    return LabelScores(score, np.clip(plausibility, 0, 1), suspect & (plausibility < 0.5))


def _placed(scores: LabelScores, rows: NDArray[np.bool_]) -> LabelScores:
    score, plausibility = _spread(scores.score, rows), _spread(scores.plausibility, rows)
    return LabelScores(score, plausibility, _spread(scores.suspect, rows) == 1)


def _spread(values: NDArray[Any], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    whole = np.full(len(rows), np.nan)
    whole[rows] = values
    return whole
