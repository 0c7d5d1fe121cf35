import numpy as np
import pytest
from sklearn.metrics import log_loss

from agelens.evaluation import metrics
from labelled import bells

TRUE = np.array([10, 20, 30, 41])
SAID = np.array([12.0, 20.4, 24.5, 41.0])


def test_age_errors_of_known_values() -> None:
    assert metrics.age_mae(SAID, TRUE) == pytest.approx((2 + 0.4 + 5.5 + 0) / 4)
    assert metrics.age_bias(SAID, TRUE) == pytest.approx((2 + 0.4 - 5.5) / 4)
    # 24.5 counts as 25, which is 5 years from 30
    assert [metrics.cumulative_score(SAID, TRUE, k) for k in (0, 2, 4, 5)] == [0.5, 0.75, 0.75, 1]
    with pytest.raises(ValueError, match=r"\(3,\) predictions for \(4,\) labels"):
        metrics.age_mae(SAID[:3], TRUE)


@pytest.mark.parametrize(("age", "group", "nearest"), [
    (2, 0, 0), (3, -1, 0),  # as near to 0-2 as to 4-6: the younger
    (7, -1, 1), (13.4, 2, 2), (13.5, -1, 2),  # 14 years
    (46, -1, 6),  # 3 years above 43, 2 below 48
    (116, 7, 7),
])  # fmt: skip
def test_adience_groups(age: float, group: int, nearest: int) -> None:
    assert metrics.age_group(age, metrics.ADIENCE) == group
    assert metrics.age_group(age, metrics.ADIENCE, nearest=True) == nearest


def test_fairface_groups_have_no_gap() -> None:
    place = metrics.age_group(np.arange(117), metrics.FAIRFACE)
    assert (np.diff(place) >= 0).all() and (place.min(), place.max()) == (0, 8)
    assert [place[a] for a in (2, 3, 9, 10, 69, 70)] == [0, 1, 1, 2, 7, 8]


def test_labels_between_groups_do_not_count() -> None:
    true, said = [5, 30, 35], [5.0, 45.0, 35.0]  # 35 is in no group of Adience
    hits = metrics.age_group_hits(said, true, metrics.ADIENCE)
    assert hits.tolist() == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert metrics.age_group_hits(said, true, metrics.FAIRFACE).tolist() == [1, 0, 1]


def test_gender_losses_agree_with_sklearn() -> None:
    random = np.random.default_rng(0)
    p, female = random.random(500), random.random(500) < 0.4
    assert metrics.gender_losses(p, female).mean() == pytest.approx(log_loss(female, p))


def test_age_loss_is_lowest_at_the_label_distribution() -> None:
    curve = bells([40], 2)
    entropy = -(curve * np.log(np.maximum(curve, 1e-300))).sum()
    assert metrics.age_losses(curve, [40])[0] == pytest.approx(entropy, abs=1e-4)
    assert metrics.age_losses(curve, [43])[0] > entropy + 1
    flat = np.full((1, 117), 1 / 117)  # mean 58: 17.5 years of smooth L1 beyond the cross-entropy
    assert metrics.age_losses(flat, [40])[0] == pytest.approx(np.log(117) + 0.25 * 17.5)


def test_calibration_error_of_known_bins() -> None:
    p = np.array([0.9, 0.9, 0.1, 0.6])
    female = np.array([True, False, False, True])
    # three at confidence 0.9, two of them right; one at 0.6, right
    expected = (abs(2 - 2.7) + abs(1 - 0.6)) / 4
    assert metrics.expected_calibration_error(p, female) == pytest.approx(expected)


def test_an_interval_holds_an_age_in_whole_years_between_its_ends() -> None:
    inside = metrics.interval_hits([9, 20, 31, 31], [12, 24, 40, 40], [9, 25, 30.9, 40.9])
    assert inside.tolist() == [True, False, False, True]
    assert metrics.interval_coverage([9, 20], [12, 24], [12, 25]) == 0.5
