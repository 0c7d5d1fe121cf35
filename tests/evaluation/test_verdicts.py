import numpy as np
import pytest

from agelens.evaluation import verdicts
from agelens.evaluation.bootstrap import Estimate
from labelled import draws


@pytest.mark.parametrize(("coverage", "word"), [
    (Estimate(0.80, 0.77, 0.83), "narrow"),
    (Estimate(0.885, 0.88, 0.89), "holds"),  # more than chance, less than matters
    (Estimate(0.97, 0.96, 0.98), "wide"),
    (Estimate(0.91, 0.87, 0.94), "holds"),
    (Estimate(0.85, 0.75, 0.95), "open"),
    (Estimate(0.85, float("nan"), float("nan")), "few"),
])  # fmt: skip
def test_verdicts_on_intervals(coverage: Estimate, word: str) -> None:
    assert verdicts.interval_verdict(coverage, True) == word
    assert verdicts.interval_verdict(coverage, False) == "few"


@pytest.mark.parametrize(("sureness", "lean", "error", "word"), [
    (-0.05, 0.0, 0.05, "sure"),
    (0.05, 0.0, 0.05, "modest"),
    (0.0, 0.06, 0.03, "female"),
    (0.0, -0.06, 0.03, "male"),
    (0.0, 0.0, 0.06, "uneven"),
    (0.015, -0.015, 0.03, "holds"),  # less than matters
])  # fmt: skip
def test_verdicts_on_gender(sureness: float, lean: float, error: float, word: str) -> None:
    told, turned, off = (Estimate(v, v - 0.01, v + 0.01) for v in (sureness, lean, error))
    assert verdicts.gender_verdict(told, turned, off, 0.04) == word
    wide = (Estimate(v, v - 0.1, v + 0.1) for v in (sureness, lean, 0.03))
    assert verdicts.gender_verdict(*wide, 0.04) == "holds"


def test_385_faces_give_a_coverage_to_three_points() -> None:
    needed = verdicts.FACES_NEEDED
    assert needed == 385
    assert 1.96 * np.sqrt(0.9 * 0.1 / needed) <= 0.03 < 1.96 * np.sqrt(0.9 * 0.1 / (needed - 1))


def test_ece_of_calibrated_probabilities_agrees_with_theory() -> None:
    said = verdicts.expected_calibration_error(np.full(1000, 0.8))
    # one bin: the mean of the size of a normal deviation, and its 95th percentile
    spread = np.sqrt(0.8 * 0.2 / 1000)
    assert said["mean"] == pytest.approx(spread * np.sqrt(2 / np.pi), rel=0.05)
    assert said["chance"] == pytest.approx(1.96 * spread, rel=0.07)


def test_excess_loss_is_zero_only_for_calibrated_probabilities() -> None:
    random = np.random.default_rng(0)
    said = random.uniform(0.02, 0.98, 4000)
    female = random.random(4000) < said
    weights = draws(4000, 400)
    for figure in verdicts.excess_losses(said, female, weights).values():
        assert figure["excess"]["low"] < 0 < figure["excess"]["high"]
    surer = said**3 / (said**3 + (1 - said) ** 3)
    for figure in verdicts.excess_losses(surer, female, weights).values():
        assert figure["excess"]["low"] > 0
