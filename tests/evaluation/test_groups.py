import numpy as np
import pytest
from scipy import stats

from agelens.evaluation import groups
from agelens.evaluation.groups import Breakdown
from labelled import draws


def halves(n: int) -> Breakdown:
    names = np.array(["a"] * (n // 2) + ["b"] * (n - n // 2), object)
    return groups.partition(("half",), [names])


def mae(errors: np.ndarray, breakdowns: list[Breakdown], resamples: int = 50) -> list[dict]:
    weights = draws(len(errors), resamples)
    return groups.compare_groups(breakdowns, {"age_mae": errors}, weights)


def test_names_of_bands_and_decades() -> None:
    ages = np.array([0, 12, 13, 20, 21, 60, 61, 116])
    assert groups.age_bands(ages).tolist() == [
        "0-12", "0-12", "13-20", "13-20", "21-40", "41-60", "61+", "61+"
    ]  # fmt: skip
    assert groups.decades(ages).tolist()[-2:] == ["60-69", "110-119"]


def test_intersections_leave_out_unknown_labels() -> None:
    found = groups.intersections(
        {
            "gender": np.array(["female", "male", "male", "female"], object),
            "race": np.array(["asian", None, "black", "asian"], object),
        }
    )
    assert [(b.by, b.groups, [rows.tolist() for rows in b.rows]) for b in found] == [
        (("gender",), [("female",), ("male",)], [[0, 3], [1, 2]]),
        (("race",), [("asian",), ("black",)], [[0, 3], [2]]),
        (("gender", "race"), [("female", "asian"), ("male", "black")], [[0, 3], [2]]),
    ]


def test_a_single_group_is_no_breakdown() -> None:
    assert groups.intersections({"race": np.array([None, None], object)}) == []


def test_groups_are_in_natural_order() -> None:
    names = groups.decades(np.array([105, 25, 5, 99]))
    assert [key[0] for key in groups.partition(("decade",), [names]).groups] == [
        "0-9", "20-29", "90-99", "100-109"
    ]  # fmt: skip


def test_a_planted_gap_is_found_and_measured() -> None:
    errors = np.random.default_rng(0).exponential(4, 600)
    errors[300:] += 2
    best, worst = (g["figures"]["age_mae"] for g in mae(errors, [halves(600)], 2000)[0]["groups"])
    gap = errors[300:].mean() - errors[:300].mean()
    assert (best["gap"], best["p"], best["more_than_chance"]) == (0, 1, False)
    assert worst["gap"] == pytest.approx(gap)
    error = np.sqrt(errors[:300].var() / 300 + errors[300:].var() / 300)
    assert worst["gap_low"] == pytest.approx(gap - 1.96 * error, abs=0.2 * error)
    assert worst["gap_high"] == pytest.approx(gap + 1.96 * error, abs=0.2 * error)
    assert worst["more_than_chance"] is True
    assert worst["p"] == pytest.approx(1 / (groups.PERMUTATIONS + 1))


def test_best_group_of_accuracy_is_the_highest() -> None:
    right = np.r_[np.ones(95), np.zeros(5), np.ones(60), np.zeros(40)]
    weights = draws(200, 200)
    table = groups.compare_groups([halves(200)], {"gender_accuracy": right}, weights)
    first, second = (g["figures"]["gender_accuracy"] for g in table[0]["groups"])
    assert first["gap"] == 0
    assert second["gap"] == pytest.approx(-0.35)
    assert second["more_than_chance"] is True


def test_p_value_of_two_groups_agrees_with_welch() -> None:
    random = np.random.default_rng(8)
    errors = np.r_[random.exponential(4, 150), random.exponential(4.9, 450)]
    names = np.array(["a"] * 150 + ["b"] * 450, object)
    table = mae(errors, [groups.partition(("x",), [names])])
    p = max(g["figures"]["age_mae"]["p"] * (g["figures"]["age_mae"]["gap"] != 0)
            for g in table[0]["groups"])  # fmt: skip
    welch = stats.ttest_ind(errors[:150], errors[150:], equal_var=False).pvalue
    assert 0.005 < welch < 0.5
    assert p == pytest.approx(welch, rel=0.35, abs=0.02)


def test_chance_differences_are_seldom_significant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "PERMUTATIONS", 200)
    random, called = np.random.default_rng(3), 0
    for _ in range(40):
        errors = random.exponential(4, 400)
        names = [np.array([f"{n}" for n in random.integers(0, k, 400)], object) for k in (2, 6)]
        breakdowns = groups.intersections({"two": names[0], "six": names[1]})
        tables = mae(errors, breakdowns)
        assert len(tables) == 3
        called += any(
            g["figures"]["age_mae"]["more_than_chance"] for t in tables for g in t["groups"]
        )
    assert called <= 6  # at most 2 expected in 40, whatever the number of groups


def test_p_values_are_corrected_for_the_number_of_breakdowns() -> None:
    errors = np.random.default_rng(0).exponential(4, 600)
    errors[300:] += errors[:300].mean() - errors[300:].mean() + 0.6  # t is about 1.8
    once = mae(errors, [halves(600)])[0]["groups"][1]["figures"]["age_mae"]["p"]
    twice = mae(errors, [halves(600), halves(600)])[0]["groups"][1]["figures"]["age_mae"]["p"]
    assert 0.02 < once < 0.2
    assert twice == pytest.approx(2 * once)


def test_small_groups_are_counted_but_not_tested() -> None:
    names = np.array(["a"] * 50 + ["b"] * 50 + ["few"] * (groups.MIN_GROUP_SIZE - 1), object)
    errors = np.r_[np.arange(100) % 7, np.full(groups.MIN_GROUP_SIZE - 1, 0.0)]
    table = mae(errors, [groups.partition(("x",), [names])])[0]["groups"]
    few = table[2]
    assert few["faces"] == groups.MIN_GROUP_SIZE - 1
    assert few["figures"]["age_mae"] == {
        "value": 0, "low": None, "high": None, "gap": None, "gap_low": None, "gap_high": None,
        "p": None, "more_than_chance": None,
    }  # fmt: skip
    assert all(g["figures"]["age_mae"]["gap"] is not None for g in table[:2])


def test_a_small_faultless_group_is_not_certain() -> None:
    names = np.array(["many"] * 400 + ["few"] * groups.MIN_GROUP_SIZE, object)
    right = np.r_[np.ones(380), np.zeros(20), np.ones(groups.MIN_GROUP_SIZE)]
    weights = draws(len(right), 200)
    table = groups.compare_groups(
        [groups.partition(("x",), [names])], {"gender_accuracy": right}, weights
    )[0]["groups"]
    assert [g["figures"]["gender_accuracy"]["more_than_chance"] for g in table] == [False, False]


def test_perfect_figures_have_no_gap() -> None:
    table = mae(np.zeros(100), [halves(100)])[0]["groups"]
    for group in table:
        assert group["figures"]["age_mae"]["gap"] == 0
        assert group["figures"]["age_mae"]["more_than_chance"] is False
