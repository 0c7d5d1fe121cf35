"""Fit a calibration on one half of the faces, and compare it with the old one on the other.

No photo and no person is in both halves: whole folds go to one half, and where the folds do not
make two halves, whole persons, or all copies of a photo.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.errors import DatasetError
from agelens.evaluation import bootstrap, calibration, groups, metrics
from agelens.evaluation.bootstrap import Estimate, Floats, Mask, Statistic, Weights
from agelens.evaluation.calibration import COVERAGE, Scaling, scale_logits
from agelens.evaluation.figures import Faces, calibration_error, face_values
from agelens.evaluation.recalibration.verdicts import ENOUGH_OF_A_GENDER, MIN_HALF, clip_share
from agelens.inference.distribution import Levels

MAX_IMBALANCE = 0.15  # how far from one half the share of faces to fit on may be
JUDGED = {"age distribution": "age_log_loss", "gender probability": "gender_log_loss"}
"""What may become better or worse beside the intervals, and the loss that decides."""
WHEN = ("before", "after", "difference")
FIGURES = (
    "interval_coverage", "interval_width", "interval_score", "age_log_loss", "age_mae", "age_bias",
    "gender_accuracy", "gender_log_loss", "gender_brier", "gender_ece",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """Two halves of N faces: one to fit a calibration on, the other to judge it."""

    fit: Mask  # (N,)
    by: str  # what stays together: "folds", "people" or "photos"
    has_subjects: bool  # whether the dataset names the person of each face


def split_in_half(samples: pl.DataFrame, seed: int) -> Halves:
    """Split the faces; the same seed gives the same halves. Raises DatasetError for too few."""
    has_subjects = "subject" in samples.columns
    fit, by = np.arange(len(samples)) % 2 == 1, "folds"
    if len(samples) >= 2 * MIN_HALF:
        fit = _half(samples["fold"].to_numpy(), seed)
        if abs(fit.mean() - 0.5) > MAX_IMBALANCE:
            photos = samples["sha256"]
            by = "people" if has_subjects else "photos"
            units = samples["subject"].fill_null(photos) if has_subjects else photos
            fit = _half(units.to_numpy().astype(object), seed)
    smaller = int(min(fit.sum(), (~fit).sum()))
    if smaller < MIN_HALF:
        raise DatasetError(
            f"{len(samples):,} faces are too few to recalibrate on: the smaller half would have "
            f"{smaller:,}, expected at least {MIN_HALF}; label more, or leave --recalibrate off"
        )
    return Halves(fit, by, has_subjects)


def _half(units: NDArray[np.generic], seed: int) -> Mask:
    """Choose units, in random order, until they hold about half of the faces."""
    _, member, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    held = np.cumsum(sizes[order])
    enough = int(np.abs(held - len(units) / 2).argmin()) + 1
    return np.asarray(np.isin(member, order[:enough]))


def fit(faces: Faces) -> tuple[Scaling, Levels]:
    """Fit scaling and levels on N faces; where a gender is too rare, gender stays as it is."""
    spread, female = faces.probabilities, faces.female.astype(np.int64)
    scaling = calibration.fit_scaling(spread, faces.female_probability, faces.age, female)
    if min(female.sum(), (1 - female).sum()) < ENOUGH_OF_A_GENDER:
        scaling = Scaling(scaling.age)
    return scaling, calibration.fit_levels(scale_logits(spread, scaling.age), faces.age)


def compare(before: Faces, after: Faces, weights: Weights) -> dict[str, Any]:
    """Return the figures of the same N faces before and after, and the differences, as JSON values.

    Both are weighted by the same resamples. `better` and `worse` name what changed by more than
    chance. `by_age` holds coverage and width in each age band, and the coverage's `change`.
    """
    values = _values(before), _values(after)
    eces: list[Statistic] = [partial(calibration_error, faces) for faces in (before, after)]
    table: dict[str, list[Estimate]] = {}
    for name in FIGURES:
        statistics = eces if name == "gender_ece" else [bootstrap.mean(one[name]) for one in values]
        (old, old_draws), (new, new_draws) = (bootstrap.draw(one, weights) for one in statistics)
        pairs = (old, old_draws), (new, new_draws), (new - old, new_draws - old_draws)
        table[name] = [bootstrap.intervals(*pair)[0] for pair in pairs]
    by_age = _by_age(groups.age_band_masks(before.age), *values, weights)
    costs_more = _side(table["interval_score"][2], 0) > 0
    changes = {"intervals": -1 if costs_more else coverage_change(*table["interval_coverage"])}
    changes |= {what: -_side(table[name][2], 0) for what, name in JUDGED.items()}
    return {
        "faces": len(before),
        "figures": {
            name: bootstrap.tables(dict(zip(WHEN, row, strict=True))) for name, row in table.items()
        },
        "by_age": by_age,
        "worse_at": [row["age"] for row in by_age if row["change"] < 0],
        "better": [what for what, change in changes.items() if change > 0],
        "worse": [what for what, change in changes.items() if change < 0],
    }


def coverage_change(before: Estimate, after: Estimate, gap: Estimate) -> int:
    """Return whether a coverage came nearer to what is promised: 1, went away: -1, neither: 0.

    Nearer is what failed, moved the right way by more than chance, and did not go too far: it
    now holds, or still fails on the same side.
    """
    moved, old, new = _side(gap, 0), _side(before, COVERAGE), _side(after, COVERAGE)
    if old and moved == -old and new in (0, old):
        return 1
    return -1 if new and moved == new and old in (0, new) else 0


def _side(figure: Estimate, value: float) -> int:
    """Return the side of a value on which a whole interval lies: 1, -1, or neither: 0."""
    return int(figure.low > value) - int(figure.high < value)


def _by_age(
    masks: dict[str, Mask], old: dict[str, Floats], new: dict[str, Floats], weights: Weights
) -> list[dict[str, Any]]:
    def estimate(values: Floats) -> list[Estimate]:
        return bootstrap.estimate_group_means(list(masks.values()), values, weights)

    shares, widths = "interval_coverage", "interval_width"
    coverage = [estimate(one) for one in (old[shares], new[shares], new[shares] - old[shares])]
    width = [estimate(one) for one in (old[widths], new[widths])]
    rows = []
    for place, (band, mask) in enumerate(masks.items()):
        row: dict[str, Any] = {"age": band, "faces": int(mask.sum())}
        row["change"] = coverage_change(*(column[place] for column in coverage))
        for when, covered, wide in zip(WHEN, coverage, width, strict=False):
            row[when] = bootstrap.tables({shares: clip_share(covered[place]), widths: wide[place]})
        rows.append(row)
    return rows


def _values(faces: Faces) -> dict[str, Floats]:
    """Return the figures of `figures.face_values`, and two more, of each face, (N,)."""
    label = faces.probabilities[np.arange(len(faces)), faces.age].astype(np.float64)
    return {
        **face_values(faces),
        "interval_score": interval_scores(faces),
        "age_log_loss": -np.log(np.maximum(label, metrics.MIN_PROBABILITY)),
    }


def interval_scores(faces: Faces) -> Floats:
    """Return width plus penalty for a miss, (N,) (Winkler, 1972; Gneiting and Raftery, 2007).

    A miss costs 20 years for each year by which the label lies outside.
    """
    low, high = np.floor(faces.age_low), np.ceil(faces.age_high)
    missed = np.maximum(0, np.maximum(low - faces.age, faces.age - high))
    return faces.age_high - faces.age_low + 2 / (1 - COVERAGE) * missed
