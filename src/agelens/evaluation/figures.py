"""All headline figures of a set of faces, each with its bootstrap interval."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import bootstrap, metrics
from agelens.evaluation.bootstrap import Draws, Estimate, Floats, Ints, Mask, Weights, divide
from agelens.inference import distribution

CS_YEARS = 16  # of the cumulative score curve, CS@0 to CS@15
SUBSETS = {"all": (0, 116), "21-60": (21, 60), "13 and older": (13, 116), "under 13": (0, 12)}
"""First and last age in years, both included, by the subset's name."""
CENTRAL = distribution.Levels.between(0.05, 0.95)  # of a model that was not calibrated
PAIRED = ("age_mae", "age_within_5", "gender_accuracy", "loss")  # compared face by face


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Labels and predictions of N faces."""

    age: Ints  # (N,), years, the label
    female: Mask  # (N,), the label
    probabilities: NDArray[np.float32]  # (N, 117)
    age_median: Floats  # (N,), years; the headline prediction
    age_mean: Floats  # (N,), years
    age_low: Floats  # (N,), whole years; ends of the interval
    age_high: Floats  # (N,)
    female_probability: Floats  # (N,), 0 to 1

    @classmethod
    def from_distributions(
        cls, age: NDArray[Any], female: Mask, probabilities: NDArray[np.float32],
        female_probability: NDArray[Any], levels: distribution.Levels = CENTRAL,
    ) -> "Faces":  # fmt: skip
        """Compute medians, means and the interval of some levels from age distributions."""
        low, high = levels.ends(probabilities)
        return cls(
            age.astype(np.int64), female.astype(bool), probabilities,
            distribution.median(probabilities), distribution.mean(probabilities),
            low.astype(np.float64), high.astype(np.float64),
            female_probability.astype(np.float64),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.age)

    def take(self, rows: NDArray[Any]) -> "Faces":
        """Return some of the faces, by row numbers or a mask."""
        return Faces(*(getattr(self, field.name)[rows] for field in fields(self)))


def subsets(faces: Faces, weights: Weights) -> dict[str, dict[str, Any]]:
    """Return the figures of every subset as JSON values; `weights` (R, N) as `resample` draws."""
    found = {}
    for name, (first, last) in SUBSETS.items():
        rows = np.flatnonzero((first <= faces.age) & (faces.age <= last))
        table: dict[str, Any] = {"first_age": first, "last_age": last, "faces": len(rows)}
        if len(rows):
            whole = len(rows) == len(faces)
            some, drawn = (faces, weights) if whole else (faces.take(rows), weights[:, rows])
            table["figures"] = bootstrap.tables(headline_figures(some, drawn))
            within = _whole_year_errors(some)[:, None] <= np.arange(CS_YEARS)
            scores = bootstrap.estimate(bootstrap.mean(within), drawn)
            table["cumulative_score"] = [
                {"years": years, **score.as_dict()} for years, score in enumerate(scores)
            ]
        found[name] = table
    return found


def headline_figures(faces: Faces, weights: Weights) -> dict[str, Estimate]:
    """Return every headline figure of at least one face; `weights` (R, N)."""
    error = np.abs(faces.age_median - faces.age)
    squared = bootstrap.mean(error**2)
    return {
        **bootstrap.estimate_means(face_values(faces), weights),
        "age_rmse": bootstrap.estimate(lambda drawn: np.sqrt(squared(drawn)), weights)[0],
        "age_median_error": bootstrap.estimate(bootstrap.quantile(error, 0.5), weights)[0],
        **_gender_ratios(faces, weights),
        "gender_auc": bootstrap.estimate(partial(area_under_curve, faces), weights)[0],
        "gender_ece": bootstrap.estimate(partial(calibration_error, faces), weights)[0],
    }


def face_values(faces: Faces) -> dict[str, Floats]:
    """Return the figures that are means over faces: name to values (N,), NaN: does not count."""
    error = faces.age_median - faces.age
    age_loss = metrics.age_losses(faces.probabilities, faces.age)
    gender_loss = metrics.gender_losses(faces.female_probability, faces.female)
    years = _whole_year_errors(faces)
    correct = (faces.female_probability >= 0.5) == faces.female
    inside = metrics.interval_hits(faces.age_low, faces.age_high, faces.age)
    group_hits = partial(metrics.age_group_hits, faces.age_median, faces.age)
    return {
        "loss": age_loss + gender_loss,
        "age_loss": age_loss,
        "age_mae": np.abs(error),
        "age_mae_of_mean": np.abs(faces.age_mean - faces.age),
        "age_bias": error,
        "age_exact": (years == 0).astype(np.float64),
        "age_within_5": (years <= 5).astype(np.float64),
        "age_group_accuracy_adience": group_hits(metrics.ADIENCE),
        "age_group_accuracy_fairface": group_hits(metrics.FAIRFACE),
        "gender_accuracy": correct.astype(np.float64),
        "gender_log_loss": gender_loss,
        "gender_brier": (faces.female_probability - faces.female) ** 2,
        "interval_coverage": inside.astype(np.float64),
        "interval_width": faces.age_high - faces.age_low,
    }


def _whole_year_errors(faces: Faces) -> Floats:
    return np.abs(metrics.whole_years(faces.age_median) - faces.age)


def _gender_ratios(faces: Faces, weights: Weights) -> dict[str, Estimate]:
    predicted, female = faces.female_probability >= 0.5, faces.female
    # True female, false female, false male, true male: read backwards they are those of "male".
    cells = np.column_stack(
        [predicted & female, predicted & ~female, ~predicted & female, ~predicted & ~female]
    )

    def ratios(drawn: Weights) -> Draws:
        counts = np.asarray(drawn @ cells.astype(drawn.dtype), np.float64).T
        columns = []
        for hits, false, missed in (counts[:3], counts[:0:-1]):
            columns += [divide(hits, hits + false), divide(hits, hits + missed)]
            columns.append(divide(2 * hits, 2 * hits + false + missed))
        return np.column_stack([(columns[1] + columns[4]) / 2, *columns])

    names = (
        "gender_balanced_accuracy", "female_precision", "female_recall", "female_f1",
        "male_precision", "male_recall", "male_f1",
    )  # fmt: skip
    return dict(zip(names, bootstrap.estimate(ratios, weights), strict=True))


def area_under_curve(faces: Faces, weights: Weights) -> Draws:
    """Return the AUC of "female", (R,); equal scores count half. NaN for one gender alone."""
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
    """Return the ECE of gender, (R,), as `metrics.expected_calibration_error`."""
    place, gap = metrics.calibration_gaps(faces.female_probability, faces.female)
    bins = np.zeros((len(faces), metrics.ECE_BINS))
    bins[np.arange(len(faces)), place] = gap
    return divide(np.abs(weights @ bins.astype(weights.dtype)).sum(axis=1), weights.sum(axis=1))


def differences(ours: Faces, first: Faces, weights: Weights) -> dict[str, Estimate]:
    """Return our figures minus the first model's, on the same N faces (paired bootstrap)."""
    mine, theirs = face_values(ours), face_values(first)
    return bootstrap.estimate_means({name: mine[name] - theirs[name] for name in PAIRED}, weights)
