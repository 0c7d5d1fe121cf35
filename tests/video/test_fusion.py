import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.inference.distribution import AGES, mean, quantile
from agelens.video.fusion import SHARED, OpinionPool

YEARS = np.arange(AGES)


def bell(age: float, sigma: float = 6.0) -> np.ndarray:
    p = np.exp(-((YEARS - age) ** 2) / (2 * sigma**2))
    return (p / p.sum()).astype(np.float32)


def pooled(ages, sigma: float = 6.0, weights=None, female=0.7) -> OpinionPool:
    pool = OpinionPool()
    for i, age in enumerate(ages):
        pool.add(bell(age, sigma), age, female, 1.0 if weights is None else weights[i])
    return pool


def width(p) -> float:
    return float(quantile(p, 0.95) - quantile(p, 0.05))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 200), st.integers(0, 1000), st.floats(0.03, 10), st.floats(0, 1),
    st.floats(0.05, 1),
)  # fmt: skip
def test_equal_predictions_give_the_same_prediction(views, seed, peaked, female, weight) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(AGES, peaked)).astype(np.float32)
    pool = OpinionPool()
    for _ in range(views):
        pool.add(p, 31.25, female, weight)
    joint = pool.fused()
    assert (joint.effective_views, joint.age_years) == (1, 31.25)
    np.testing.assert_allclose(joint.age_probabilities, p / p.sum(dtype=float), atol=3e-7)
    assert joint.female_probability == pytest.approx(female, abs=1e-8)


def test_differing_predictions_narrow_the_interval() -> None:
    joint = pooled(40 + np.random.default_rng(0).normal(0, 3, 60)).fused()
    # d2 / s2 = 9 / 36: a quarter of the variance is averaged out, so the width shrinks by 13 %
    assert joint.effective_views == pytest.approx(4 / 3, rel=0.15)
    assert width(joint.age_probabilities) == pytest.approx(width(bell(40)) * 0.87, rel=0.06)
    assert float(mean(joint.age_probabilities)) == pytest.approx(40, abs=1.2)


def test_consecutive_frames_count_little() -> None:
    random = np.random.default_rng(1)
    drift = [0.0]
    for step in random.normal(0, 1, 39):
        drift.append(0.8 * drift[-1] + step)
    ages = 40 + 3 * np.array(drift) / np.std(drift)
    slow, quick = pooled(ages).effective_views(), pooled(random.permutation(ages)).effective_views()
    assert quick > 1.25 and 1 < slow < quick - 0.03
    assert pooled(np.linspace(35, 45, 300)).effective_views() < 1.01


def test_certainty_is_bounded_for_any_number_of_views() -> None:
    pool = pooled(40 + np.random.default_rng(2).normal(0, 6, 3000))
    assert pool.effective_views() == pytest.approx(1 / SHARED)
    assert width(pool.fused().age_probabilities) > 0.65 * width(bell(40))


def test_contradicting_predictions_do_not_add_certainty() -> None:
    pool = pooled([20, 70, 22, 68, 21], sigma=4)
    assert pool.effective_views() == 1
    assert width(pool.fused().age_probabilities) >= width(bell(45, 4)) * 0.99


def test_weights_set_the_influence_of_a_view() -> None:
    joint = pooled([30, 50], weights=[1.0, 0.05]).fused()
    assert joint.age_years == pytest.approx(30 + 20 * 0.05 / 1.05)
    assert float(mean(joint.age_probabilities)) < 32


def test_one_view_cannot_rule_out_an_age() -> None:
    sure = np.zeros(AGES, np.float32)
    sure[20] = 1
    pool = OpinionPool()
    for _ in range(9):
        pool.add(bell(40), 40, 0.5, 1)
    pool.add(sure, 20, 0.5, 1)
    assert 28 < float(mean(pool.fused().age_probabilities)) < 40


VIEW = st.tuples(st.floats(0, 116), st.floats(0.5, 30), st.floats(0, 1), st.floats(0.01, 1))


@given(st.lists(VIEW, min_size=1, max_size=40))
def test_any_predictions_fuse_into_a_distribution(views) -> None:
    pool = OpinionPool()
    for age, sigma, female, weight in views:
        pool.add(bell(age, sigma), age, female, weight)
    joint = pool.fused()
    assert joint.age_probabilities.sum() == pytest.approx(1)
    assert (joint.age_probabilities >= 0).all()
    assert 0 <= joint.female_probability <= 1 <= joint.effective_views <= 1 / SHARED
    ages = [view[0] for view in views]
    assert min(ages) - 1e-9 <= joint.age_years <= max(ages) + 1e-9


def test_an_empty_pool_has_no_fused_prediction() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        OpinionPool().fused()
    with pytest.raises(ValueError, match="weight"):
        OpinionPool().add(bell(30), 30, 0.5, 0)
