"""Fit a calibration on one half of the faces, and compare it with the old one on the other."""

from collections.abc import Callable
from typing import Any

import numpy as np

from agelens.evaluation import calibration, figures, groups, metrics, simultaneous_intervals
from agelens.evaluation.arrays import Draws, Weights
from agelens.evaluation.bootstrap import Estimate, Statistic, intervals, mean, tables
from agelens.evaluation.calibration import COVERAGE, Scaling, scale_logits
from agelens.evaluation.figures import Faces
from agelens.evaluation.recalibration.verdicts import ENOUGH_OF_A_GENDER, clip_share
from agelens.inference.distribution import Levels

JUDGED = {"age distribution": "age_log_loss", "gender probability": "gender_log_loss"}
"""What may become better or worse beside the intervals, and the loss that decides."""
WHEN = ("before", "after", "difference")


def fit(faces: Faces) -> tuple[Scaling, Levels]:
    """Fit the scaling of a model's outputs on N faces, and the levels of its new intervals.

    Where one of the gender labels is too rare the gender stays as it is.
    """
    female = faces.female.astype(np.int64)
    scaling = calibration.fit_scaling(
        faces.probabilities, faces.female_probability, faces.age, female
    )
    if min(female.sum(), (1 - female).sum()) < ENOUGH_OF_A_GENDER:
        scaling = Scaling(scaling.age)
    return scaling, calibration.fit_levels(
        scale_logits(faces.probabilities, scaling.age), faces.age
    )


def compare(before: Faces, after: Faces, weights: Weights) -> dict[str, Any]:
    """Return the figures of the same N faces before and after, and the differences, as JSON values.

    Both are weighted by the same resamples. `better` and `worse` name what changed by more than
    chance.
    """
    table: dict[str, tuple[Estimate, Estimate, Estimate]] = {}
    for name, statistic in _STATISTICS.items():
        old, old_draws = _draw(statistic(before), weights)
        new, new_draws = _draw(statistic(after), weights)
        pairs = (old, old_draws), (new, new_draws), (new - old, new_draws - old_draws)
        first, second, gap = (intervals(*pair)[0] for pair in pairs)
        table[name] = first, second, gap
    by_age = _by_age(before, after, weights)
    costs_more = _side(table["interval_score"][2], 0) > 0
    changes = {"intervals": -1 if costs_more else coverage_change(*table["interval_coverage"])}
    changes |= {what: -_side(table[name][2], 0) for what, name in JUDGED.items()}
    return {
        "faces": len(before),
        "figures": {name: tables(dict(zip(WHEN, row, strict=True))) for name, row in table.items()},
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


def _draw(statistic: Statistic, weights: Weights) -> tuple[Draws, Draws]:
    """Return a statistic of the faces as they are, (1,), and its draws, (R, 1)."""
    return statistic(np.ones((1, weights.shape[1]))), statistic(weights)[:, None]


def _by_age(before: Faces, after: Faces, weights: Weights) -> list[dict[str, Any]]:
    """Return coverage and width in each age band; those of one figure hold together.

    `change` is 1 where the coverage came nearer to what is promised, -1 where it went away.
    """
    masks = groups.age_band_masks(before.age)
    old, new = figures.face_values(before), figures.face_values(after)

    def estimates(name: str) -> list[list[Estimate]]:
        columns = old[name], new[name], new[name] - old[name]
        return [
            simultaneous_intervals.group_means(list(masks.values()), one, weights)
            for one in columns
        ]

    coverage, width = estimates("interval_coverage"), estimates("interval_width")
    return [
        {
            "age": band,
            "faces": int(mask.sum()),
            "change": coverage_change(*(column[place] for column in coverage)),
            **{
                when: {
                    "interval_coverage": clip_share(coverage[column][place]).as_dict(),
                    "interval_width": width[column][place].as_dict(),
                }
                for column, when in enumerate(WHEN[:2])
            },
        }
        for place, (band, mask) in enumerate(masks.items())
    ]


def _face_mean(name: str) -> Callable[[Faces], Statistic]:
    return lambda faces: mean(figures.face_values(faces)[name])


def interval_score(faces: Faces) -> Statistic:
    """Return mean width plus penalty for misses (Winkler, 1972; Gneiting and Raftery, 2007).

    A miss costs 20 years for each year by which the label lies outside.
    """
    low, high = np.floor(faces.age_low), np.ceil(faces.age_high)
    missed = np.maximum(0, np.maximum(low - faces.age, faces.age - high))
    return mean(faces.age_high - faces.age_low + 2 / (1 - COVERAGE) * missed)


def _age_log_loss(faces: Faces) -> Statistic:
    label = faces.probabilities[np.arange(len(faces)), faces.age].astype(np.float64)
    return mean(-np.log(np.maximum(label, metrics.MIN_PROBABILITY)))


_STATISTICS: dict[str, Callable[[Faces], Statistic]] = {
    "interval_coverage": _face_mean("interval_coverage"),
    "interval_width": _face_mean("interval_width"),
    "interval_score": interval_score,
    "age_log_loss": _age_log_loss,
    "age_mae": _face_mean("age_mae"),
    "age_bias": _face_mean("age_bias"),
    "gender_accuracy": _face_mean("gender_accuracy"),
    "gender_log_loss": _face_mean("gender_log_loss"),
    "gender_brier": _face_mean("gender_brier"),
    "gender_ece": lambda faces: lambda weights: figures.calibration_error(faces, weights),
}
