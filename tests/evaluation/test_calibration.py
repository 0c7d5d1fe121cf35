import numpy as np
import pytest

from agelens.evaluation import metrics
from agelens.evaluation.calibration import fit_levels, fit_scaling, scale_logits
from agelens.inference import distribution
from labelled import bells


def labels(centre: np.ndarray, width: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, width, len(centre))
    return np.clip(np.round(centre + noise), 0, 116).astype(np.int64)


@pytest.mark.parametrize("true_width", [4.0, 6.0])
def test_scaling_finds_the_temperature(true_width: float) -> None:
    centre, half = np.random.default_rng(0).uniform(25, 85, 4000), np.full(4000, 0.5)
    said = bells(centre, 4.0)
    scaling = fit_scaling(said, half, labels(centre, true_width, 1), np.arange(4000) % 2)
    # a normal curve s times as wide has logits 1 / s**2 times as large
    assert scaling.age == pytest.approx((4.0 / true_width) ** 2, rel=0.05)
    widened = distribution.quantile(scale_logits(said, scaling.age), 0.84) - centre
    assert widened.mean() == pytest.approx(true_width, rel=0.05)


def test_scaling_corrects_overconfident_gender() -> None:
    random = np.random.default_rng(2)
    logit = random.normal(0, 3, 6000)
    female = (random.random(6000) < 1 / (1 + np.exp(-(0.5 * logit + 0.4)))).astype(int)
    said = 1 / (1 + np.exp(-logit))
    scaling = fit_scaling(bells(np.full(6000, 40.0), 5), said, np.full(6000, 40), female)
    assert scaling.gender == pytest.approx(0.5, abs=0.06)
    assert scaling.bias == pytest.approx(0.4, abs=0.12)
    mended = 1 / (1 + np.exp(-(scaling.gender * logit + scaling.bias)))
    before, after = (metrics.expected_calibration_error(p, female) for p in (said, mended))
    assert after < 0.02 < before


def test_intervals_cover_every_age_when_the_old_are_underestimated() -> None:
    random = np.random.default_rng(3)
    ages = random.integers(10, 91, 12_000)
    centre = np.minimum(ages + random.normal(0, 4, 12_000), 75 + random.normal(0, 3, 12_000))
    said = bells(centre, 4.0)
    fitted, fresh = np.arange(12_000) < 6000, np.arange(12_000) >= 6000
    levels = fit_levels(said[fitted], ages[fitted])
    low, high = levels.ends(said[fresh])
    inside = metrics.interval_hits(low, high, ages[fresh])
    assert inside.mean() == pytest.approx(0.91, abs=0.02)
    for decade in range(1, 9):
        assert inside[ages[fresh] // 10 == decade].mean() > 0.86, decade
    flat = distribution.Levels.between(0.05, 0.95).ends(said[fresh])
    missed = (flat[1] < ages[fresh])[ages[fresh] >= 80]
    assert missed.mean() > 0.25  # what quantiles alone would do


def test_levels_do_not_shrink_where_labels_heap() -> None:
    ages = np.repeat([1, 40], 500)
    spread = bells(ages.astype(float), 3.0)
    levels = fit_levels(spread, ages)
    assert levels.low == pytest.approx(np.full(117, distribution.TAIL))
    assert levels.high == pytest.approx(np.full(117, 1 - distribution.TAIL))


def test_few_faces_give_wide_but_valid_levels() -> None:
    levels = fit_levels(bells(np.array([30.0, 40.0]), 4.0), np.array([31, 44]))
    assert ((levels.low >= 0) & (levels.low < levels.high) & (levels.high <= 1)).all()
