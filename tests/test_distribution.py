"""Mean, quantiles and median of an age distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.distribution import AGES, mean, median, quantile

shares = st.lists(st.floats(0, 1), min_size=AGES, max_size=AGES).filter(lambda p: sum(p) > 1e-3)


def at(age: int) -> np.ndarray:
    return np.eye(AGES)[age]


@pytest.mark.parametrize("age", [1, 30, 115])
def test_a_certain_age(age: int) -> None:
    assert mean(at(age)) == age
    assert median(at(age)) == age
    assert quantile(at(age), 0.05) == pytest.approx(age - 0.45)
    assert quantile(at(age), 0.95) == pytest.approx(age + 0.45)


def test_two_ages_alike() -> None:
    p = (at(20) + at(40)) / 2
    assert mean(p) == 30
    assert quantile(p, 0.25) == pytest.approx(20)
    assert quantile(p, 0.75) == pytest.approx(40)


def test_the_even_distribution() -> None:
    p = np.full(AGES, 1 / AGES)
    assert median(p) == pytest.approx(58)
    assert quantile(p, 0.1) == pytest.approx(-0.5 + 11.7)


@given(shares, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_and_stay_within_the_ages(p: list[float], a: float, b: float) -> None:
    p = np.array(p) / np.sum(p)
    low, high = quantile(p, min(a, b)), quantile(p, max(a, b))
    assert 0 <= low <= high + 1e-9
    assert high <= AGES - 1


def test_batches_keep_their_shape() -> None:
    p = np.stack([at(5), at(50), at(90)])
    np.testing.assert_allclose(median(p), [5, 50, 90])
    assert mean(p.reshape(3, 1, AGES)).shape == (3, 1)


def test_unnormalised_mass_is_forgiven_by_quantiles() -> None:
    assert median(3 * at(33)) == 33


@pytest.mark.parametrize("level", [-0.1, 1.1])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="share"):
        quantile(at(1), level)
