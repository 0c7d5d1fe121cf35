"""What the figures of gender would be if its probabilities were honest.

The calibration error is never 0: even honest probabilities miss by chance, the more so the fewer
faces there are. So it is held against labels drawn from the probabilities themselves
("consistency resampling"; Brocker and Smith, 2007).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import bootstrap, metrics
from agelens.evaluation.bootstrap import Weights, estimate, mean

DRAWS = 2000
CHANCE = 0.95
"""Share of the draws that stay under what is called chance."""


def calibration_error(
    female_probability: NDArray[np.float64], draws: int = DRAWS, seed: int = bootstrap.SEED
) -> dict[str, float]:
    """Give the ECE that honest probabilities (N,) have: its mean, and where chance ends."""
    random = np.random.default_rng(seed)
    sure = np.maximum(female_probability, 1 - female_probability)
    place, _ = metrics.calibration_gaps(female_probability, np.ones(len(sure)))
    sums = np.empty((draws, metrics.ECE_BINS))
    for row in sums:
        gap: NDArray[np.float64] = (random.random(len(sure)) < sure) - sure
        row[:] = np.bincount(place, gap, minlength=metrics.ECE_BINS)
    errors = np.abs(sums).sum(axis=1) / len(sure)
    return {"mean": float(errors.mean()), "chance": float(np.quantile(errors, CHANCE))}


def excess(
    female_probability: NDArray[np.float64], female: NDArray[np.bool_], weights: Weights
) -> dict[str, Any]:
    """Give log loss (nats) and Brier score: as they would be if honest, and what is on top."""
    p = np.clip(female_probability, metrics.LEAST_PROBABILITY, 1 - metrics.LEAST_PROBABILITY)
    honest = {
        "gender_log_loss": -(p * np.log(p) + (1 - p) * np.log(1 - p)),
        "gender_brier": p * (1 - p),
    }
    seen = {
        "gender_log_loss": metrics.gender_losses(female_probability, female),
        "gender_brier": (female_probability - female) ** 2,
    }
    return {
        name: {
            "seen": _figure(seen[name], weights),
            "if_honest": float(honest[name].mean()),
            "excess": _figure(seen[name] - honest[name], weights),
        }
        for name in honest
    }


def _figure(values: NDArray[np.float64], weights: Weights) -> dict[str, float | None]:
    return estimate(mean(values), weights)[0].table()
