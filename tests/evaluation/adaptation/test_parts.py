import numpy as np
import pytest

from agelens.evaluation.adaptation.parts import KNOTS, Adaptation, fit_age_map, fit_levels
from agelens.evaluation.metrics import interval_coverage
from agelens.inference import distribution
from labelled import bells


def test_age_map_moves_the_median_and_keeps_the_mass() -> None:
    ages = KNOTS + np.interp(KNOTS, [0, 30, 116], [0, -6, 4])
    adapted = Adaptation(ages)
    assert np.allclose(adapted.matrix().sum(axis=1), 1)
    said = bells(np.array([3.0, 20.0, 33.0, 62.0, 90.0]), 3)
    moved = adapted.age_probabilities(said)
    assert moved.sum(axis=1) == pytest.approx(1)
    wanted = np.interp(distribution.median(said), KNOTS, ages)
    assert distribution.median(moved) == pytest.approx(wanted, abs=0.3)
    assert np.array_equal(Adaptation().matrix(), np.eye(117))
    matrix = Adaptation(KNOTS - 12.0).matrix()  # ages beyond the ends are held there
    assert matrix[:12, 0] == pytest.approx(1) and matrix[50, 38] == pytest.approx(1)
    assert Adaptation(KNOTS + 12.0).matrix()[-1, -1] == 1


def test_age_map_is_monotone_and_near_the_identity_where_faces_are_few() -> None:
    random = np.random.default_rng(1)
    age = random.uniform(15, 40, 300)
    predicted = age + 6 + random.normal(0, 3, 300)
    fitted = fit_age_map(predicted, age)
    assert (np.diff(fitted) > 0).all()
    assert np.interp([25.0, 35.0], KNOTS, fitted) == pytest.approx([19, 29], abs=1.5)
    assert fitted[-1] == pytest.approx(KNOTS[-1], abs=2)
    few = fit_age_map(predicted[:3], age[:3])
    assert (np.abs(few - KNOTS) < 6).all()
    assert fit_age_map(KNOTS, KNOTS) == pytest.approx(KNOTS)
    one_far_off = np.array([90.0, *[20.0] * 8])
    assert fit_age_map(np.full(9, 20.0), one_far_off) == pytest.approx(KNOTS, abs=1)


def test_levels_count_people_and_not_faces() -> None:
    random = np.random.default_rng(2)
    centres = random.uniform(20, 80, 400)
    ages = np.round(centres + random.normal(0, 6, 400))
    said = bells(centres, 3)
    alone = fit_levels(said, ages, np.arange(400))
    assert interval_coverage(*alone.ends(said), ages) == pytest.approx(0.9, abs=0.03)
    alike = fit_levels(said, ages, np.arange(400) % 20)
    assert alike.low[0] < alone.low[0] and alike.low[0] + alike.high[0] == pytest.approx(1)
