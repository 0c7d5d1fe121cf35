import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.inference import distribution
from agelens.inference.distribution import AGES, Levels, assess, mean, median, quantile
from agelens.results import Reason, Status
from labelled import bells

distributions = st.builds(
    lambda seed, peaked: np.random.default_rng(seed).dirichlet(np.full(AGES, peaked)),
    st.integers(0, 2**32 - 1),
    st.floats(0.02, 10),
)
at = np.eye(AGES).__getitem__


@pytest.mark.parametrize("age", [1, 30, 115])
def test_a_certain_age(age: int) -> None:
    assert mean(at(age)) == median(at(age)) == age
    ends = [quantile(at(age), level) for level in (0.05, 0.95)]
    assert ends == pytest.approx([age - 0.45, age + 0.45])


def test_quantiles_of_two_equally_likely_ages_and_of_the_uniform_distribution() -> None:
    p, uniform = (at(20) + at(40)) / 2, np.full(AGES, 1 / AGES)
    assert mean(p) == 30
    assert [quantile(p, 0.25), quantile(p, 0.75)] == pytest.approx([20, 40])
    assert [median(uniform), quantile(uniform, 0.1)] == pytest.approx([58, -0.5 + 11.7])


@given(distributions, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_and_stay_within_the_ages(p: np.ndarray, a: float, b: float) -> None:
    low, high = quantile(p, min(a, b)), quantile(p, max(a, b))
    assert 0 <= low <= high + 1e-9 <= AGES - 1 + 1e-9


def test_batches_keep_their_shape_and_may_be_unnormalised() -> None:
    p = 3 * np.stack([at(5), at(50), at(90)])
    np.testing.assert_allclose(median(p), [5, 50, 90])
    assert mean(p.reshape(3, 1, AGES)).shape == (3, 1)


@pytest.mark.parametrize("level", [-0.1, 1.1])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        quantile(at(1), level)


@given(distributions, st.floats(0.01, 0.45))
def test_equal_levels_give_whole_years_that_hold_the_mass(p: np.ndarray, level: float) -> None:
    (low,), (high,) = Levels.between(level, 1 - level).ends(p[None])
    assert 0 <= low <= round(float(median(p))) <= high < AGES
    mass = p / p.sum()
    assert max(mass[:low].sum(), mass[high + 1 :].sum()) <= level + 1e-6
    for fewer in (mass[: low + 1].sum(), mass[high:].sum()):  # a year less would be too few
        assert fewer > level - 1e-6


def test_levels_by_age_can_widen_the_interval_of_the_old() -> None:
    p, even = bells([60], 5), Levels.between(0.05, 0.95)
    wider = Levels(even.low, np.where(np.arange(AGES) >= 65, 0.999, 0.95))
    assert wider.ends(p)[0] == even.ends(p)[0] == 52 and wider.ends(p)[1] > even.ends(p)[1] + 4


def test_the_large_error_probability_is_the_mass_beyond_ten_years() -> None:
    ages = np.concatenate([bells([40], 10 / 1.96), bells([40], 2), np.full((1, AGES), 1 / AGES)])
    wide, sharp, even = distribution.large_error_probability(np.array([40.0, 40.0, 58.0]), ages)
    assert wide == pytest.approx(0.05, abs=0.02) and sharp < 1e-5
    assert even == pytest.approx(96 / 117, abs=1e-6)


def test_each_reason_has_its_cause() -> None:
    ages = np.concatenate([bells([40], width) for width in (2, 15, 2, 15)])
    female = np.array([0.99, 0.01, 0.6, 0.45], np.float32)
    assessed = assess(np.full(4, 40.0), ages, female)
    assert [(one.status, *one.reasons) for one in assessed] == [
        (Status.OK,), (Status.UNSURE, Reason.AGE_UNCLEAR), (Status.UNSURE, Reason.GENDER_UNCLEAR),
        (Status.UNSURE, Reason.AGE_UNCLEAR, Reason.GENDER_UNCLEAR),
    ]  # fmt: skip
    probabilities = [one.error_probability for one in assessed]
    assert min(probabilities) == probabilities[0]
    assert probabilities[2] == pytest.approx(0.4, abs=1e-3)
    assert all(0 <= p <= 1 for p in probabilities)


def test_the_gender_of_an_infant_must_be_more_certain() -> None:
    ages, female = bells([2, 8], 1), np.full(2, 0.85, np.float32)
    infant, child = assess(np.array([2.0, 8.0]), ages, female)
    assert (infant.reasons, child.reasons) == ((Reason.GENDER_UNCLEAR,), ())


def test_a_poorly_visible_face_is_poor_even_if_the_model_is_certain() -> None:
    ages, female = np.concatenate([bells([40], width) for width in (2, 15, 2)]), np.full(3, 0.99)
    issues = [(Reason.BLURRED,), (Reason.TOO_SMALL, Reason.DARK), ()]
    assessed = assess(np.full(3, 40.0), ages, female, quality_issues=issues)
    assert [one.status for one in assessed] == [Status.POOR, Status.POOR, Status.OK]
    assert assessed[1].reasons == (Reason.TOO_SMALL, Reason.DARK, Reason.AGE_UNCLEAR)
    assert assessed[0].error_probability == assessed[2].error_probability  # the model's own
    assert assess(np.zeros(0), np.zeros((0, AGES), np.float32), np.zeros(0, np.float32)) == []
