"""The figures that calibrated gender probabilities would have on the same faces.

The calibration error is never 0: even calibrated probabilities miss by chance, the more so the
fewer faces there are. Consistency resampling (Brocker and Smith, 2007) measures that chance with
labels drawn from the probabilities themselves.
"""

from typing import Any

import numpy as np

from agelens.evaluation import bootstrap, metrics
from agelens.evaluation.arrays import Floats, Mask, Weights
from agelens.evaluation.bootstrap import estimate_mean

DRAWS = 2000
CHANCE = 0.95
"""Share of the draws below what is called chance."""


def calibration_error(
    female_probability: Floats, draws: int = DRAWS, seed: int = bootstrap.SEED
) -> dict[str, float]:
    """Return the ECE of calibrated probabilities (N,): its mean, and its CHANCE quantile."""
    random = np.random.default_rng(seed)
    confidence = np.maximum(female_probability, 1 - female_probability)
    place, _ = metrics.calibration_gaps(female_probability, np.ones(len(confidence)))
    sums = np.empty((draws, metrics.ECE_BINS))
    for row in sums:
        gap: Floats = (random.random(len(confidence)) < confidence) - confidence
        row[:] = np.bincount(place, gap, minlength=metrics.ECE_BINS)
    errors = np.abs(sums).sum(axis=1) / len(confidence)
    return {"mean": float(errors.mean()), "chance": float(np.quantile(errors, CHANCE))}


def excess(female_probability: Floats, female: Mask, weights: Weights) -> dict[str, Any]:
    """Return log loss (nats) and Brier score: as measured, if calibrated, and the difference."""
    p = np.clip(female_probability, metrics.MIN_PROBABILITY, 1 - metrics.MIN_PROBABILITY)
    expected = {
        "gender_log_loss": -(p * np.log(p) + (1 - p) * np.log(1 - p)),
        "gender_brier": p * (1 - p),
    }
    measured = {
        "gender_log_loss": metrics.gender_losses(female_probability, female),
        "gender_brier": (female_probability - female) ** 2,
    }
    return {
        name: {
            "seen": estimate_mean(measured[name], weights).as_dict(),
            "if_honest": float(expected[name].mean()),
            "excess": estimate_mean(measured[name] - expected[name], weights).as_dict(),
        }
        for name in expected
    }
