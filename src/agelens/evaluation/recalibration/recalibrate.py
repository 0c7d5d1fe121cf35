"""Fit a calibration on one half of the faces, and hold it against the old one on the other."""

from collections.abc import Callable
from typing import Any

import numpy as np

from agelens.evaluation import calibration, figures, groups, metrics, simultaneous_intervals
from agelens.evaluation.bootstrap import Draws, Figure, Statistic, Weights, intervals, mean
from agelens.evaluation.calibration import COVERAGE, Scaling, sharpened
from agelens.evaluation.figures import Faces
from agelens.evaluation.recalibration.verdicts import ENOUGH_OF_A_GENDER, clipped
from agelens.inference.distribution import Levels

JUDGED = {"age distribution": "age_log_loss", "gender probability": "gender_log_loss"}
"""What may become better or worse beside the intervals, and the loss that tells."""


def fit(faces: Faces) -> tuple[Scaling, Levels]:
    """Give the scaling of what a model says of N faces, and the levels of its new intervals.

    Where one of the gender labels is too rare the gender stays as it is.
    """
    female = faces.female.astype(np.int64)
    scaling = calibration.fit_scaling(
        faces.probabilities, faces.female_probability, faces.age, female
    )
    if min(female.sum(), (1 - female).sum()) < ENOUGH_OF_A_GENDER:
        scaling = Scaling(scaling.age)
    spread = sharpened(faces.probabilities, scaling.age)
    levels = calibration.fit_levels(spread, faces.age)
    return scaling, levels


def compare(before: Faces, after: Faces, weights: Weights) -> dict[str, Any]:
    """Give the figures of the same N faces before and after, and the differences, as JSON values.

    Both are weighed by the same resamples. `better` and `worse` name what changed by more than
    chance.
    """
    table: dict[str, tuple[Figure, Figure, Figure]] = {}
    for name, statistic in _STATISTICS.items():
        old_point, old_draws = _drawn(statistic(before), weights)
        new_point, new_draws = _drawn(statistic(after), weights)
        (gap,) = intervals(new_point - old_point, new_draws - old_draws)
        (old,), (new,) = intervals(old_point, old_draws), intervals(new_point, new_draws)
        table[name] = old, new, gap
    by_age = _by_age(before, after, weights)
    changes = {what: -_side(table[name][2], 0) for what, name in JUDGED.items()}
    nearer = _nearer(*table["interval_coverage"])
    dearer = _side(table["interval_score"][2], 0) > 0
    changes = {"intervals": -1 if dearer else nearer, **changes}
    return {
        "faces": len(before),
        "figures": {
            name: {
                when: figure.table()
                for when, figure in zip(("before", "after", "difference"), found, strict=True)
            }
            for name, found in table.items()
        },
        "by_age": by_age,
        "worse_at": [row["age"] for row in by_age if row["change"] < 0],
        "better": [what for what, change in changes.items() if change > 0],
        "worse": [what for what, change in changes.items() if change < 0],
    }


def _nearer(before: Figure, after: Figure, gap: Figure) -> int:
    """Tell whether a coverage came nearer to what is promised: 1, went away: -1, neither: 0.

    Nearer is what failed, moved the right way by more than chance, and did not go too far: it
    now holds, or still fails on the same side.
    """
    moved, old, new = _side(gap, 0), _side(before, COVERAGE), _side(after, COVERAGE)
    if old and moved == -old and new in (0, old):
        return 1
    return -1 if new and moved == new and old in (0, new) else 0


def _side(figure: Figure, value: float) -> int:
    """Tell on which side of a value the whole interval of a figure lies: 1, -1, or neither: 0."""
    return int(figure.low > value) - int(figure.high < value)


def _drawn(statistic: Statistic, weights: Weights) -> tuple[Draws, Draws]:
    """Give a statistic of the faces as they are, (1,), and of its draws, (R, 1)."""
    return statistic(np.ones((1, weights.shape[1]))), statistic(weights)[:, None]


def _by_age(before: Faces, after: Faces, weights: Weights) -> list[dict[str, Any]]:
    """Give coverage and width in each age band; those of one figure hold together.

    `change` is 1 where the coverage came nearer to what is promised, -1 where it went away.
    """
    bands = groups.part(("age",), [groups.band_names(before.age)])
    masks = [np.isin(np.arange(len(before)), rows) for rows in bands.rows]
    names = ("interval_coverage", "interval_width")
    values = [figures.face_values(faces) for faces in (before, after)]
    old, new = (
        {name: simultaneous_intervals.in_groups(masks, some[name], weights) for name in names}
        for some in values
    )
    gaps = simultaneous_intervals.in_groups(
        masks, values[1]["interval_coverage"] - values[0]["interval_coverage"], weights
    )
    return [
        {
            "age": name,
            "faces": len(bands.rows[place]),
            "change": _nearer(
                old["interval_coverage"][place], new["interval_coverage"][place], gaps[place]
            ),
            **{
                when: {
                    "interval_coverage": clipped(found["interval_coverage"][place]).table(),
                    "interval_width": found["interval_width"][place].table(),
                }
                for when, found in (("before", old), ("after", new))
            },
        }
        for place, (name,) in enumerate(bands.groups)
    ]


def _of_values(name: str) -> Callable[[Faces], Statistic]:
    return lambda faces: mean(figures.face_values(faces)[name])


def _interval_score(faces: Faces) -> Statistic:
    """Give the width, and what missing costs (Winkler, 1972; Gneiting and Raftery, 2007)."""
    low, high = np.floor(faces.age_low), np.ceil(faces.age_high)
    missed = np.maximum(0, np.maximum(low - faces.age, faces.age - high))
    return mean(faces.age_high - faces.age_low + 2 / (1 - COVERAGE) * missed)


def _age_log_loss(faces: Faces) -> Statistic:
    label = faces.probabilities[np.arange(len(faces)), faces.age].astype(np.float64)
    return mean(-np.log(np.maximum(label, metrics.LEAST_PROBABILITY)))


_STATISTICS: dict[str, Callable[[Faces], Statistic]] = {
    "interval_coverage": _of_values("interval_coverage"),
    "interval_width": _of_values("interval_width"),
    "interval_score": _interval_score,
    "age_log_loss": _age_log_loss,
    "age_mae": _of_values("age_mae"),
    "age_bias": _of_values("age_bias"),
    "gender_accuracy": _of_values("gender_accuracy"),
    "gender_log_loss": _of_values("gender_log_loss"),
    "gender_brier": _of_values("gender_brier"),
    "gender_ece": lambda faces: lambda weights: figures.calibration_error(faces, weights),
}
