"""Judge by rule whether a model's intervals, probabilities and ages hold.

A verdict is one word. Of intervals: "holds", "narrow", "wide", "open" (not shown to fail, and
not known well). Of gender: "holds", "sure", "modest", "uneven", or the label it leans to, "female"
or "male". Of the bias: "none", "old", "young". "few" where there are too few faces to judge. A
model fails only by more than chance, and by more than matters (CLOSE, YEAR).
"""

from functools import partial
from typing import Any

import numpy as np

from agelens.evaluation import bootstrap, figures, groups, metrics
from agelens.evaluation.bootstrap import SEED, Estimate, Floats, Mask, Weights, estimate_mean
from agelens.evaluation.calibration import COVERAGE
from agelens.evaluation.figures import Faces, face_values

ENOUGH, ENOUGH_OF_A_BAND, ENOUGH_OF_A_GENDER = 200, 50, 20
"""Faces from which all together, an age band, and a gender are judged."""
ENOUGH_TO_ADAPT = 30  # faces from which a model can be adapted to them
CLOSE = 0.02  # shares that are this close to what was promised hold
YEAR = 1.0  # a bias under this, in years, counts as none
LOOSE = 0.06  # a coverage that is known no better than to +- this is not said to hold
KNOWN = 0.03  # how well a coverage should be known, 19 times in 20
FACES_NEEDED = int(np.ceil(COVERAGE * (1 - COVERAGE) * (1.96 / KNOWN) ** 2))  # for that
DRAWS = 2000
CHANCE = 0.95  # the share of draws of a calibration error that are below what is called chance
BY_BAND = ("interval_coverage", "interval_width", "age_bias", "age_mae", "gender_accuracy")


def measure(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Judge the predictions of N faces, weights (R, N); return JSON values."""
    enough = len(faces) >= ENOUGH
    values = face_values(faces)
    names = ("interval_coverage", "interval_width", "age_bias")
    coverage, width, bias = (estimate_mean(values[name], weights) for name in names)
    masks = groups.age_band_masks(faces.age)
    bands = estimate_bands(list(masks.values()), values, BY_BAND, weights)
    return {
        "faces": len(faces), "promised": COVERAGE,
        "rules": {
            "enough": ENOUGH, "enough_of_a_band": ENOUGH_OF_A_BAND, "close": CLOSE,
            "close_points": 100 * CLOSE, "year": YEAR, "loose_points": 100 * LOOSE,
            "known_points": 100 * KNOWN, "enough_to_recalibrate": ENOUGH_TO_ADAPT,
            "faces_needed": FACES_NEEDED,
        },
        "intervals": {
            "verdict": interval_verdict(coverage, enough), "coverage": coverage.as_dict(),
            "width": width.as_dict(),
        },
        "by_age": [
            {"age": band, "faces": int(mask.sum()),
             "verdict": interval_verdict(own["interval_coverage"], mask.sum() >= ENOUGH_OF_A_BAND),
             "figures": bootstrap.tables(own)}
            for (band, mask), own in zip(masks.items(), bands, strict=True)
        ],
        "gender": _gender(faces, weights, enough),
        "bias": {"verdict": bias_verdict(bias, enough), **bias.as_dict()},
    }  # fmt: skip


def interval_verdict(coverage: Estimate, enough: bool) -> str:
    """Judge intervals by the share of labels inside."""
    if not enough or not np.isfinite(coverage.low):
        return "few"
    if coverage.high < COVERAGE and coverage.value < COVERAGE - CLOSE:
        return "narrow"
    if coverage.low > COVERAGE and coverage.value > COVERAGE + CLOSE:
        return "wide"
    return "holds" if coverage.high - coverage.low <= 2 * LOOSE else "open"


def bias_verdict(bias: Estimate, enough: bool) -> str:
    """Judge ages by their mean signed error, in years."""
    if not enough or not np.isfinite(bias.low):
        return "few"
    if bias.low <= 0 <= bias.high or abs(bias.value) < YEAR:
        return "none"
    return "old" if bias.value > 0 else "young"


def gender_verdict(gap: Estimate, lean: Estimate, ece: Estimate, chance: float) -> str:
    """Judge gender probabilities.

    `gap` is accuracy minus confidence, `lean` the mean probability of "female" minus its share of
    the labels, `chance` the ECE that calibrated probabilities have by chance.
    """
    if gap.high < 0 and gap.value < -CLOSE:
        return "sure"
    if gap.low > 0 and gap.value > CLOSE:
        return "modest"
    if (lean.low > 0 or lean.high < 0) and abs(lean.value) > CLOSE:
        return "female" if lean.value > 0 else "male"
    return "uneven" if ece.value > max(chance, CLOSE) else "holds"


def estimate_bands(
    masks: list[Mask], values: dict[str, Floats], names: tuple[str, ...], weights: Weights
) -> list[dict[str, Estimate]]:
    """Estimate figures in each age band; the intervals of one figure hold together."""
    columns = [bootstrap.estimate_group_means(masks, values[name], weights) for name in names]
    bands = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    for band in bands:
        for name in {"interval_coverage", "gender_accuracy"} & band.keys():
            # A simultaneous interval is symmetric, so its ends may leave 0 to 1.
            value, low, high = (getattr(band[name], end) for end in ("value", "low", "high"))
            band[name] = Estimate(value, max(low, 0.0), min(high, 1.0))
    return bands


def _gender(faces: Faces, weights: Weights, enough: bool) -> dict[str, Any]:
    p, female = faces.female_probability, faces.female
    confidence, (_, gaps) = np.maximum(p, 1 - p), metrics.calibration_gaps(p, female)
    gap, lean = estimate_mean(gaps, weights), estimate_mean(p - female, weights)
    ece = bootstrap.estimate(partial(figures.calibration_error, faces), weights)[0]
    expected = expected_calibration_error(p)
    fewest = min(int(female.sum()), int((~female).sum()))
    judged = enough and fewest >= ENOUGH_OF_A_GENDER
    return {
        "verdict": gender_verdict(gap, lean, ece, expected["chance"]) if judged else "few",
        "faces_of_the_rarer_label": fewest,
        "accuracy": estimate_mean(gaps + confidence, weights).as_dict(),
        "confidence": estimate_mean(confidence, weights).as_dict(),
        "accuracy_minus_confidence": gap.as_dict(),
        "said_minus_labelled_female": lean.as_dict(),
        "ece": ece.as_dict(),
        "ece_if_honest": expected,
        **excess_losses(p, female, weights),
    }


def expected_calibration_error(female_probability: Floats) -> dict[str, float]:
    """Return the ECE that calibrated probabilities (N,) have: its mean, and its CHANCE quantile.

    Even these miss by chance. Consistency resampling (Brocker and Smith, 2007) measures it, with
    labels drawn from the probabilities themselves.
    """
    random = np.random.default_rng(SEED)
    confidence = np.maximum(female_probability, 1 - female_probability)
    place, _ = metrics.calibration_gaps(female_probability, np.ones(len(confidence)))
    sums = np.empty((DRAWS, metrics.ECE_BINS))
    for row in sums:
        gap: Floats = (random.random(len(confidence)) < confidence) - confidence
        row[:] = np.bincount(place, gap, minlength=metrics.ECE_BINS)
    errors = np.abs(sums).sum(axis=1) / len(confidence)
    return {"mean": float(errors.mean()), "chance": float(np.quantile(errors, CHANCE))}


def excess_losses(female_probability: Floats, female: Mask, weights: Weights) -> dict[str, Any]:
    """Return log loss (nats) and Brier score: as measured, if calibrated, and the difference."""
    p = np.clip(female_probability, metrics.MIN_PROBABILITY, 1 - metrics.MIN_PROBABILITY)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    losses = {  # measured, and expected if calibrated
        "gender_log_loss": (metrics.gender_losses(female_probability, female), entropy),
        "gender_brier": ((female_probability - female) ** 2, p * (1 - p)),
    }
    return {
        name: {
            "seen": estimate_mean(measured, weights).as_dict(),
            "if_honest": float(expected.mean()),
            "excess": estimate_mean(measured - expected, weights).as_dict(),
        }
        for name, (measured, expected) in losses.items()
    }
