"""Mean, quantiles and median of an age distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.inference.distribution import AGES, Levels, below, mean, median, quantile

distributions = st.builds(
    lambda seed, peaked: np.random.default_rng(seed).dirichlet(np.full(AGES, peaked)),
    st.integers(0, 2**32 - 1),
    st.floats(0.02, 10),
)


def at(age: int) -> np.ndarray:
    return np.eye(AGES)[age]


@pytest.mark.parametrize("age", [1, 30, 115])
def test_a_certain_age(age: int) -> None:
    assert mean(at(age)) == age
    assert median(at(age)) == age
    assert quantile(at(age), 0.05) == pytest.approx(age - 0.45)
    assert quantile(at(age), 0.95) == pytest.approx(age + 0.45)


def test_two_equally_likely_ages() -> None:
    p = (at(20) + at(40)) / 2
    assert mean(p) == 30
    assert quantile(p, 0.25) == pytest.approx(20)
    assert quantile(p, 0.75) == pytest.approx(40)


def test_the_uniform_distribution() -> None:
    p = np.full(AGES, 1 / AGES)
    assert median(p) == pytest.approx(58)
    assert quantile(p, 0.1) == pytest.approx(-0.5 + 11.7)


@given(distributions, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_and_stay_within_the_ages(p: np.ndarray, a: float, b: float) -> None:
    low, high = quantile(p, min(a, b)), quantile(p, max(a, b))
    assert 0 <= low <= high + 1e-9
    assert high <= AGES - 1


def test_batches_keep_their_shape_and_may_be_unnormalised() -> None:
    p = 3 * np.stack([at(5), at(50), at(90)])
    np.testing.assert_allclose(median(p), [5, 50, 90])
    assert mean(p.reshape(3, 1, AGES)).shape == (3, 1)


@pytest.mark.parametrize("level", [-0.1, 1.1])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        quantile(at(1), level)


@given(distributions, st.floats(0.01, 0.45))
def test_equal_levels_give_the_interval_between_quantiles(p: np.ndarray, level: float) -> None:
    low, high = Levels.between(level, 1 - level).ends(p[None])
    # only where a quantile is one place: with no mass around it any place of the gap would do
    for end, share in ((low, level), (high, 1 - level)):
        assert below(p[None], end)[0] == pytest.approx(
            np.clip(share, below(p[None], [0])[0], below(p[None], [AGES - 1])[0]), abs=1e-6
        )
    assert low[0] <= median(p) <= high[0]


@given(distributions, st.floats(0.01, 0.99))
def test_below_inverts_quantile(p: np.ndarray, level: float) -> None:
    age = quantile(p, level)
    if 0 < age < AGES - 1:
        assert below(p[None], [age])[0] == pytest.approx(level, abs=1e-6)


def test_levels_by_age_can_widen_the_interval_of_the_old() -> None:
    years = np.arange(AGES)
    p = np.exp(-((years - 60) ** 2) / (2 * 5.0**2))
    p /= p.sum()
    even = Levels.between(0.05, 0.95)
    wider = Levels(even.low, np.where(years >= 65, 0.999, 0.95))
    assert wider.ends(p[None])[0] == even.ends(p[None])[0]
    assert wider.ends(p[None])[1] > even.ends(p[None])[1] + 4


def test_an_empty_interval_is_the_median() -> None:
    never = Levels(np.full(AGES, 0.999999), np.full(AGES, 0.9999999))
    p = np.full(AGES, 1 / AGES)
    low, high = never.ends(p[None])
    assert low == high == median(p)
