"""Whether what a model says of its own certainty is so: probabilities, intervals, doubt.

An age label is a whole year, so a distribution gives it a range of quantiles and not one; the
coverage of central intervals counts the part of that range which lies inside (the nonrandomised
form of Czado, Gneiting and Held, 2009), so that an honest distribution comes out even.
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import groups, metrics
from agelens.evaluation.bootstrap import Weights, estimate, mean
from agelens.evaluation.figures import SUBSETS, Faces, face_values
from agelens.inference import uncertainty

BINS = 10
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Nominal coverage of the central intervals that are checked."""
PIT_BINS = 10
KEPT = (0.25, 0.5, 0.75, 1.0)
"""Shares of the faces, the surest first, whose error is given."""


def measure(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Give everything about certainty as JSON values."""
    return {
        "gender": _gender(faces, weights),
        "age": _age(faces, weights),
        "doubt": _doubt(faces, weights),
        "by_predicted_age": groups.by_group(
            groups.part(("predicted age",), [groups.decade_names(_years(faces.age_median))]),
            {
                name: face_values(faces)[name]
                for name in ("age_mae", "age_bias", "interval_coverage", "interval_width")
            },
            weights,
        ),
    }


def _gender(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Give bins of the probability of "female", and how modest the likelier gender's is."""
    p = faces.female_probability
    place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    said, seen = (
        _shares(np.bincount(place, values, minlength=BINS), counts) for values in (p, faces.female)
    )
    _, gap = metrics.calibration_gaps(p, faces.female)
    return {
        "bins": {"said": said, "seen": seen, "faces": counts.tolist()},
        "confidence": estimate(mean(np.maximum(p, 1 - p)), weights)[0].table(),
        "accuracy_minus_confidence": {
            name: {
                "faces": int(rows.sum()),
                **estimate(mean(np.where(rows, gap, np.nan)), weights)[0].table(),
            }
            for name, rows in _subsets(faces).items()
            if rows.any()
        },
    }


def _subsets(faces: Faces) -> dict[str, NDArray[np.bool_]]:
    return {
        name: (first <= faces.age) & (faces.age <= last)
        for name, (first, last) in SUBSETS.items()
        if name != "21-60"
    }


def _age(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Give the coverage of central intervals, and the histogram of the labels' quantiles."""
    below, upto = label_quantiles(faces)
    held = np.column_stack(
        [_inside(below, upto, (1 - level) / 2, (1 + level) / 2) for level in LEVELS]
    )
    edges = np.linspace(0, 1, PIT_BINS + 1)
    histogram = [
        float(_inside(below, upto, low, high).mean()) for low, high in itertools.pairwise(edges)
    ]
    return {
        "coverage": [
            {"said": level, **figure.table()}
            for level, figure in zip(LEVELS, estimate(mean(held), weights), strict=True)
        ],
        "quantiles_of_labels": histogram,
    }


def label_quantiles(faces: Faces) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the mass below and up to each label's year, (N,) each."""
    upto = np.cumsum(faces.probabilities, axis=1, dtype=np.float64)
    upto /= upto[:, -1:]
    rows = np.arange(len(faces))
    below = np.where(faces.age > 0, upto[rows, np.maximum(faces.age - 1, 0)], 0.0)
    return below, upto[rows, faces.age]


def _inside(
    below: NDArray[np.float64], upto: NDArray[np.float64], low: float, high: float
) -> NDArray[np.float64]:
    """Give the part of each label's range of quantiles that lies between low and high, (N,)."""
    shared = np.clip(np.minimum(upto, high) - np.maximum(below, low), 0, None)
    width = upto - below
    # A label that was given no mass at all is a single quantile.
    single = ((low <= below) & (below <= high)).astype(np.float64)
    part: NDArray[np.float64] = np.divide(shared, width, out=single, where=width > 1e-12)
    return part


def _doubt(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Hold the said chance of an age off by over 10 years against how often it was."""
    said = uncertainty.large_error_probability(faces.age_median, faces.probabilities)
    error = np.abs(faces.age_median - faces.age)
    far = (error > uncertainty.LARGE_ERROR).astype(np.float64)
    both = np.column_stack([said, far, far - said])
    words = ("said", "seen", "seen_minus_said")
    order = np.argsort(said, kind="stable")
    kept = []
    for share in KEPT:
        chosen = np.full(len(faces), np.nan)
        rows = order[: max(round(share * len(faces)), 1)]
        chosen[rows] = error[rows]
        kept.append({"share": share, "age_mae": estimate(mean(chosen), weights)[0].table()})
    return {
        "years": uncertainty.LARGE_ERROR,
        **{word: f.table() for word, f in zip(words, estimate(mean(both), weights), strict=True)},
        "surest": kept,
    }


def _shares(sums: NDArray[Any], counts: NDArray[np.int64]) -> list[float | None]:
    return [float(a / n) if n else None for a, n in zip(sums, counts, strict=True)]


def _years(ages: NDArray[np.float64]) -> NDArray[np.float64]:
    return metrics.whole_years(ages)
