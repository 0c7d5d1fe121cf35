"""Verdicts by rule on what a model says of its own certainty: intervals, gender, bias of age.

A verdict is one word. Of intervals: "holds", "narrow", "wide", "open" (not shown to fail, and
not known well); of gender: "holds", "sure", "modest", "uneven", or the label it leans to,
"female" or "male"; of the bias: "none", "old", "young"; and "few" where there are too few faces
to tell. A model fails only by more than chance, and by more than matters (CLOSE, YEAR).
"""

from typing import Any

import numpy as np

from agelens.evaluation import figures, groups, metrics, simultaneous_intervals
from agelens.evaluation.bootstrap import Figure, Weights, estimate, mean
from agelens.evaluation.calibration import COVERAGE
from agelens.evaluation.figures import Faces, face_values
from agelens.evaluation.recalibration import expected_accuracy
from agelens.evaluation.recalibration.split_half import LEAST

ENOUGH = 200
"""Faces from which something can be said of all."""
ENOUGH_OF_A_BAND = 50
"""Faces from which something can be said of an age band."""
ENOUGH_OF_A_GENDER = 20
CLOSE = 0.02
"""Shares that are this close to what was promised are taken to hold."""
YEAR = 1.0
"""A bias under this, in years, is taken for none."""
LOOSE = 0.06
"""A coverage that is known no better than to +- this is not said to hold."""
KNOWN = 0.03
"""How well a coverage should be known; `faces_needed` follows from it."""
BY_BAND = ("interval_coverage", "interval_width", "age_bias", "age_mae", "gender_accuracy")


def measure(faces: Faces, weights: Weights) -> dict[str, Any]:
    """Judge the answers on N faces, weights (R, N); JSON values."""
    enough = len(faces) >= ENOUGH
    values = face_values(faces)
    everyone = {name: estimate(mean(values[name]), weights)[0] for name in BY_BAND}
    return {
        "faces": len(faces),
        "promised": COVERAGE,
        "rules": {
            "enough": ENOUGH,
            "enough_of_a_band": ENOUGH_OF_A_BAND,
            "close": CLOSE,
            "close_points": 100 * CLOSE,
            "year": YEAR,
            "loose_points": 100 * LOOSE,
            "known_points": 100 * KNOWN,
            "enough_to_recalibrate": 2 * LEAST,
            "faces_needed": faces_needed(),
        },
        "intervals": {
            "verdict": _intervals(everyone["interval_coverage"], enough),
            "coverage": everyone["interval_coverage"].table(),
            "width": everyone["interval_width"].table(),
        },
        "by_age": _by_age(faces, weights),
        "gender": _gender(faces, weights, enough),
        "bias": {
            "verdict": _bias(everyone["age_bias"], enough),
            **everyone["age_bias"].table(),
        },
    }


def faces_needed(known: float = KNOWN) -> int:
    """Give how many faces it takes to know a coverage of 90 % to +-`known`, 19 times in 20."""
    return int(np.ceil(COVERAGE * (1 - COVERAGE) * (1.96 / known) ** 2))


def _intervals(coverage: Figure, enough: bool) -> str:
    if not enough or not np.isfinite(coverage.low):
        return "few"
    if coverage.high < COVERAGE and coverage.value < COVERAGE - CLOSE:
        return "narrow"
    if coverage.low > COVERAGE and coverage.value > COVERAGE + CLOSE:
        return "wide"
    return "holds" if coverage.high - coverage.low <= 2 * LOOSE else "open"


def _bias(bias: Figure, enough: bool) -> str:
    if not enough or not np.isfinite(bias.low):
        return "few"
    if bias.low <= 0 <= bias.high or abs(bias.value) < YEAR:
        return "none"
    return "old" if bias.value > 0 else "young"


def _by_age(faces: Faces, weights: Weights) -> list[dict[str, Any]]:
    """Judge the intervals in each age band; those of one figure hold together 19 times in 20."""
    bands = groups.part(("age",), [groups.band_names(faces.age)])
    masks = []
    for rows in bands.rows:
        mask = np.zeros(len(faces), bool)
        mask[rows] = True
        masks.append(mask)
    values = face_values(faces)
    columns = {
        name: simultaneous_intervals.in_groups(masks, values[name], weights) for name in BY_BAND
    }
    shares = ("interval_coverage", "gender_accuracy")
    return [
        {
            "age": name,
            "faces": len(bands.rows[place]),
            "verdict": _intervals(
                columns["interval_coverage"][place], len(bands.rows[place]) >= ENOUGH_OF_A_BAND
            ),
            "figures": {
                key: (clipped(column[place]) if key in shares else column[place]).table()
                for key, column in columns.items()
            },
        }
        for place, (name,) in enumerate(bands.groups)
    ]


def clipped(share: Figure) -> Figure:
    """Keep the ends of a simultaneous interval, which is even to both sides, within 0 to 1."""
    return Figure(share.value, max(share.low, 0.0), min(share.high, 1.0))


def _gender(faces: Faces, weights: Weights, enough: bool) -> dict[str, Any]:
    said, female = faces.female_probability, faces.female
    _, gap = metrics.calibration_gaps(said, female)
    error = estimate(lambda drawn: figures.calibration_error(faces, drawn), weights)[0]
    chance = expected_accuracy.calibration_error(said)
    sureness = estimate(mean(gap), weights)[0]
    lean = estimate(mean(said - female), weights)[0]
    fewest = min(int(female.sum()), int((~female).sum()))
    verdict = (
        _probabilities(sureness, lean, error, chance["chance"])
        if enough and fewest >= ENOUGH_OF_A_GENDER
        else "few"
    )
    return {
        "verdict": verdict,
        "faces_of_the_rarer_label": fewest,
        "accuracy": estimate(mean(gap + np.maximum(said, 1 - said)), weights)[0].table(),
        "confidence": estimate(mean(np.maximum(said, 1 - said)), weights)[0].table(),
        "accuracy_minus_confidence": sureness.table(),
        "said_minus_labelled_female": lean.table(),
        "ece": error.table(),
        "ece_if_honest": chance,
        **expected_accuracy.excess(said, female, weights),
    }


def _probabilities(sureness: Figure, lean: Figure, error: Figure, chance: float) -> str:
    if sureness.high < 0 and sureness.value < -CLOSE:
        return "sure"
    if sureness.low > 0 and sureness.value > CLOSE:
        return "modest"
    if (lean.low > 0 or lean.high < 0) and abs(lean.value) > CLOSE:
        return "female" if lean.value > 0 else "male"
    return "uneven" if error.value > max(chance, CLOSE) else "holds"
