import numpy as np
import pytest
from scipy import stats

from agelens.evaluation import groups
from agelens.evaluation.groups import Partition
from labelled import draws


def breakdown(*sizes: int) -> dict[tuple[str, ...], Partition]:
    names = np.repeat(np.array(list("abc")[: len(sizes)], object), sizes)
    return {("x",): groups.partition([names])}


def compare(
    values: np.ndarray, breakdowns: dict, resamples: int = 50, figure: str = "age_mae"
) -> list[list[dict]]:
    tables = groups.compare_groups(breakdowns, {figure: values}, draws(len(values), resamples))
    return [[group["figures"][figure] for group in table["groups"]] for table in tables]


def test_names_of_bands_and_decades() -> None:
    ages = np.array([0, 12, 13, 20, 21, 60, 61, 116])
    assert groups.age_bands(ages).tolist() == [
        "0-12", "0-12", "13-20", "13-20", "21-40", "41-60", "61+", "61+"
    ]  # fmt: skip
    assert groups.decades(ages).tolist()[-2:] == ["60-69", "110-119"]
    names = groups.decades(np.array([105, 25, 5, 99]))  # groups are in natural order
    assert [key for (key,) in groups.partition([names])] == ["0-9", "20-29", "90-99", "100-109"]


def test_intersections_leave_out_unknown_labels() -> None:
    labels = {"gender": ["female", "male", "male", "female"],
              "race": ["asian", None, "black", "asian"]}  # fmt: skip
    found = groups.intersections({by: np.array(row, object) for by, row in labels.items()})
    members = {
        by: {key: np.flatnonzero(mask).tolist() for key, mask in part.items()}
        for by, part in found.items()
    }
    assert members == {
        ("gender",): {("female",): [0, 3], ("male",): [1, 2]},
        ("race",): {("asian",): [0, 3], ("black",): [2]},
        ("gender", "race"): {("female", "asian"): [0, 3], ("male", "black"): [2]},
    }
    assert groups.intersections({"race": np.array([None, None], object)}) == {}  # nothing to divide


def test_a_planted_gap_is_found_and_measured() -> None:
    errors = np.random.default_rng(0).exponential(4, 600)
    errors[300:] += 2
    ((best, worst),) = compare(errors, breakdown(300, 300), 2000)
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
    ((first, second),) = compare(right, breakdown(100, 100), 200, "gender_accuracy")
    assert [first["gap"], second["gap"]] == pytest.approx([0, -0.35])
    assert second["more_than_chance"] is True


def test_p_value_of_two_groups_agrees_with_welch() -> None:
    random = np.random.default_rng(8)
    errors = np.r_[random.exponential(4, 150), random.exponential(4.9, 450)]
    (figures,) = compare(errors, breakdown(150, 450))
    p = max(figure["p"] for figure in figures if figure["gap"] != 0)
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
        tables = compare(errors, breakdowns)
        assert len(tables) == 3
        called += any(figure["more_than_chance"] for figures in tables for figure in figures)
    assert called <= 6  # at most 2 expected in 40, whatever the number of groups


def test_p_values_are_corrected_for_the_number_of_breakdowns() -> None:
    errors = np.random.default_rng(0).exponential(4, 600)
    errors[300:] += errors[:300].mean() - errors[300:].mean() + 0.6  # t is about 1.8
    one = breakdown(300, 300)
    once, twice = (compare(errors, some)[0][1]["p"] for some in (one, {**one, ("y",): one["x",]}))
    assert 0.02 < once < 0.2
    assert twice == pytest.approx(2 * once)


def test_small_groups_are_counted_but_not_tested() -> None:
    errors = np.r_[np.arange(100) % 7, np.full(groups.MIN_GROUP_SIZE - 1, 0.0)]
    three = breakdown(50, 50, groups.MIN_GROUP_SIZE - 1)
    ((*large, few),) = compare(errors, three)
    assert three["x",]["c",].sum() == groups.MIN_GROUP_SIZE - 1
    assert few == {"value": 0} | dict.fromkeys(
        ("low", "high", "gap", "gap_low", "gap_high", "p", "more_than_chance")
    )
    assert all(figure["gap"] is not None for figure in large)


def test_a_small_faultless_group_is_not_certain_and_perfect_figures_have_no_gap() -> None:
    right = np.r_[np.ones(380), np.zeros(20), np.ones(groups.MIN_GROUP_SIZE)]
    two = breakdown(400, groups.MIN_GROUP_SIZE)
    (figures,) = compare(right, two, 200, "gender_accuracy")
    assert [figure["more_than_chance"] for figure in figures] == [False, False]
    (figures,) = compare(np.zeros(100), breakdown(50, 50))
    assert [(one["gap"], one["more_than_chance"]) for one in figures] == [(0, False)] * 2
