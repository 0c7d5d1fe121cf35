import numpy as np
import pytest
from numpy.typing import NDArray

from agelens.evaluation import bootstrap
from agelens.evaluation.bootstrap import estimate_mean


def test_interval_of_a_mean_agrees_with_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(5, 3, 900)
    weights = bootstrap.resample(np.arange(900))
    assert weights.shape == (bootstrap.RESAMPLES, 900) and (weights.sum(axis=1) == 900).all()
    figure = estimate_mean(values, weights)
    assert figure.value == pytest.approx(values.mean())
    error = values.std() / 30
    assert figure.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert figure.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_truth_19_times_in_20() -> None:
    random, held = np.random.default_rng(2), 0
    weights = bootstrap.resample(np.arange(80), 400)
    for _ in range(200):
        values = random.exponential(4, 80)
        figure = estimate_mean(values, weights)
        held += figure.low <= 4 <= figure.high
    assert 176 <= held <= 198  # 190 expected; a skewed mean of 80 covers a little less


def test_copies_of_a_photo_are_drawn_together() -> None:
    values = np.random.default_rng(3).normal(0, 1, 300)
    names = np.array([f"photo {i}" for i in range(300)])

    def width(values: NDArray, clusters: NDArray) -> float:
        figure = estimate_mean(values, bootstrap.resample(clusters))
        return figure.high - figure.low

    once, twice = width(values, names), np.repeat(values, 2)
    assert width(twice, np.repeat(names, 2)) == pytest.approx(once, rel=0.1)
    assert width(twice, np.arange(600)) == pytest.approx(once / np.sqrt(2), rel=0.1)


def test_mean_ignores_nan_and_quantile_is_weighted() -> None:
    values = np.array([[1.0, np.nan], [3.0, 7.0], [np.nan, np.nan]])
    mean = bootstrap.mean(values)(np.array([[1.0, 1, 1], [2, 1, 5], [0, 0, 1]]))
    np.testing.assert_allclose(mean, [[2, 7], [5 / 3, 7], [np.nan, np.nan]])
    weights = np.array([[1.0, 1, 1], [0, 0, 2], [1, 3, 1]])
    assert bootstrap.quantile(np.array([5.0, 1.0, 9.0]), 0.5)(weights).tolist() == [5, 9, 1]


def test_constant_values_have_no_width_and_undefined_ones_no_interval() -> None:
    weights = bootstrap.resample(np.arange(7))
    sure, lost = (estimate_mean(np.full(7, value), weights) for value in (0.1, np.nan))
    assert sure.as_dict() == pytest.approx({"value": 0.1, "low": 0.1, "high": 0.1})
    assert lost.as_dict() == {"value": None, "low": None, "high": None}


def test_interval_corrects_the_bias_of_draws() -> None:
    # draws that lie too high: the interval moves below the plain percentiles
    draws = np.random.default_rng(4).normal(1.0, 1.0, (4000, 1))
    figure = bootstrap.intervals(np.array([0.0]), draws)[0]
    assert figure.low < np.quantile(draws, 0.025) - 0.5
    assert figure.low <= figure.value <= figure.high < np.quantile(draws, 0.975) - 0.5


def test_same_seed_gives_the_same_weights() -> None:
    a, b = (bootstrap.resample(np.arange(50)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, bootstrap.resample(np.arange(50), seed=1))
