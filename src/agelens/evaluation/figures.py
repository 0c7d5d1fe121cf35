"""All headline figures of a set of faces, each with its bootstrap interval."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import metrics
from agelens.evaluation.bootstrap import (
    Draws,
    Figure,
    Weights,
    divide,
    estimate,
    intervals,
    mean,
    median,
)
from agelens.inference import distribution

CS_YEARS = 16
"""The cumulative score curve: CS@0 to CS@15."""

SUBSETS = {"all": (0, 116), "21-60": (21, 60), "13 and older": (13, 116), "under 13": (0, 12)}
"""First and last age in years, both included, by the subset's name."""

CENTRAL = distribution.Levels.between(0.05, 0.95)
"""The interval of a model that was not calibrated."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Labels and predictions of N faces."""

    age: NDArray[np.int64]  # (N,), years, the label
    female: NDArray[np.bool_]  # (N,), the label
    probabilities: NDArray[np.float32]  # (N, 117)
    age_median: NDArray[np.float64]  # (N,), years; the headline prediction
    age_mean: NDArray[np.float64]  # (N,), years
    age_low: NDArray[np.float64]  # (N,), years; ends of the interval
    age_high: NDArray[np.float64]  # (N,)
    female_probability: NDArray[np.float64]  # (N,), 0 to 1

    @classmethod
    def read(
        cls,
        age: NDArray[Any],
        female: NDArray[np.bool_],
        probabilities: NDArray[np.float32],
        female_probability: NDArray[Any],
        levels: distribution.Levels = CENTRAL,
    ) -> "Faces":
        """Read medians, means and the interval of some levels off distributions."""
        low, high = levels.ends(probabilities)
        return cls(
            age.astype(np.int64),
            female.astype(bool),
            probabilities,
            distribution.median(probabilities),
            distribution.mean(probabilities),
            low,
            high,
            female_probability.astype(np.float64),
        )

    def __len__(self) -> int:
        return len(self.age)

    def take(self, rows: NDArray[Any]) -> "Faces":
        """Give some of the faces, by row numbers or a mask."""
        return Faces(*(getattr(self, field.name)[rows] for field in fields(self)))


def subsets(faces: Faces, weights: Weights) -> dict[str, dict[str, Any]]:
    """Give the figures of every subset as JSON values; `weights` (R, N) as `resample` draws."""
    found = {}
    for name, (first, last) in SUBSETS.items():
        rows = np.flatnonzero((first <= faces.age) & (faces.age <= last))
        part: dict[str, Any] = {"first_age": first, "last_age": last, "faces": len(rows)}
        if len(rows):
            whole = len(rows) == len(faces)
            few, drawn = (faces, weights) if whole else (faces.take(rows), weights[:, rows])
            part["figures"] = {k: figure.table() for k, figure in figures(few, drawn).items()}
            part["cumulative_score"] = [
                {"years": years, **figure.table()}
                for years, figure in enumerate(cumulative_scores(few, drawn))
            ]
        found[name] = part
    return found


def figures(faces: Faces, weights: Weights) -> dict[str, Figure]:
    """Give every headline figure of at least one face; `weights` (R, N)."""
    columns = face_values(faces)
    found = dict(
        zip(columns, estimate(mean(np.column_stack(list(columns.values()))), weights), strict=True)
    )
    squared = mean((faces.age_median - faces.age) ** 2)
    found["age_rmse"] = estimate(lambda drawn: np.sqrt(squared(drawn)), weights)[0]
    off = np.abs(faces.age_median - faces.age)
    found["age_median_error"] = estimate(median(off), weights)[0]
    found |= gender_figures(faces, weights)
    return found


def face_values(faces: Faces) -> dict[str, NDArray[np.float64]]:
    """Give the figures that are means over faces: name to one value per face, (N,).

    NaN where a face does not count.
    """
    error = faces.age_median - faces.age
    age_loss = metrics.age_losses(faces.probabilities, faces.age)
    gender_loss = metrics.gender_losses(faces.female_probability, faces.female)
    off = np.abs(metrics.whole_years(faces.age_median) - faces.age)
    right = (faces.female_probability >= 0.5) == faces.female
    inside = metrics.interval_hits(faces.age_low, faces.age_high, faces.age)
    groups = partial(metrics.age_group_hits, faces.age_median, faces.age)
    return {
        "loss": age_loss + gender_loss,
        "age_loss": age_loss,
        "age_mae": np.abs(error),
        "age_mae_of_mean": np.abs(faces.age_mean - faces.age),
        "age_bias": error,
        "age_exact": (off == 0).astype(np.float64),
        "age_within_5": (off <= 5).astype(np.float64),
        "age_group_accuracy_adience": groups(metrics.ADIENCE),
        "age_group_accuracy_fairface": groups(metrics.FAIRFACE),
        "gender_accuracy": right.astype(np.float64),
        "gender_log_loss": gender_loss,
        "gender_brier": (faces.female_probability - faces.female) ** 2,
        "interval_coverage": inside.astype(np.float64),
        "interval_width": faces.age_high - faces.age_low,
    }


def cumulative_scores(faces: Faces, weights: Weights) -> list[Figure]:
    """Give CS@0 to CS@15."""
    off = np.abs(metrics.whole_years(faces.age_median) - faces.age)
    return estimate(mean((off[:, None] <= np.arange(CS_YEARS)).astype(np.float64)), weights)


def gender_figures(faces: Faces, weights: Weights) -> dict[str, Figure]:
    """Give the figures of gender that are not means over faces."""
    said, female = faces.female_probability >= 0.5, faces.female
    cells = np.column_stack([said & female, said & ~female, ~said & female, ~said & ~female])

    def ratios(drawn: Weights) -> Draws:
        hit, false, missed, other = np.asarray(drawn @ cells.astype(drawn.dtype), np.float64).T
        recalls = divide(hit, hit + missed), divide(other, other + false)
        return np.column_stack(
            [
                (recalls[0] + recalls[1]) / 2,
                *(divide(hit, hit + false), recalls[0], divide(2 * hit, 2 * hit + false + missed)),
                *(
                    divide(other, other + missed),
                    recalls[1],
                    divide(2 * other, 2 * other + false + missed),
                ),
            ]
        )

    names = ["gender_balanced_accuracy"] + [
        f"{gender}_{figure}"
        for gender in ("female", "male")
        for figure in ("precision", "recall", "f1")
    ]
    found = dict(zip(names, estimate(ratios, weights), strict=True))
    found["gender_auc"] = estimate(partial(area_under_curve, faces), weights)[0]
    found["gender_ece"] = estimate(partial(calibration_error, faces), weights)[0]
    return found


def area_under_curve(faces: Faces, weights: Weights) -> Draws:
    """Give the area under the ROC curve of "female", (R,); equal scores count half.

    NaN where only one gender is there.
    """
    order = np.argsort(faces.female_probability, kind="stable")
    score, female = faces.female_probability[order], faces.female[order]
    drawn = weights[:, order]
    first = np.flatnonzero(np.diff(score, prepend=-np.inf))  # where each score starts
    if len(first) == 0:
        return np.full(len(weights), np.nan)
    ones = np.add.reduceat(drawn * female, first, axis=1)
    zeros = np.add.reduceat(drawn * ~female, first, axis=1)
    below = np.cumsum(zeros, axis=1) - zeros / 2
    # Sums of products outgrow the 24 bits of a float32.
    won = np.einsum("rs,rs->r", ones, below, dtype=np.float64)
    return divide(won, ones.sum(axis=1, dtype=np.float64) * zeros.sum(axis=1, dtype=np.float64))


def calibration_error(faces: Faces, weights: Weights) -> Draws:
    """Give the ECE of gender, (R,), as `metrics.expected_calibration_error`."""
    place, gap = metrics.calibration_gaps(faces.female_probability, faces.female)
    bins = np.zeros((len(faces), metrics.ECE_BINS))
    bins[np.arange(len(faces)), place] = gap
    return divide(np.abs(weights @ bins.astype(weights.dtype)).sum(axis=1), weights.sum(axis=1))


PAIRED = ("age_mae", "age_within_5", "gender_accuracy", "loss")
"""The figures that are compared between models, face by face."""


def differences(ours: Faces, first: Faces, weights: Weights) -> dict[str, Figure]:
    """Give by how much our figures differ from the first model's, on the same N faces.

    Both are weighed by the same resamples (the paired bootstrap).
    """
    mine, theirs = face_values(ours), face_values(first)
    gap = mean(np.column_stack([mine[name] - theirs[name] for name in PAIRED]))
    point = gap(np.ones((1, len(ours))))[0]
    return dict(zip(PAIRED, intervals(point, gap(weights)), strict=True))
