from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from agelens.errors import DatasetError
from agelens.evaluation import bootstrap
from agelens.evaluation.adaptation import selection
from agelens.evaluation.adaptation.parts import Adaptation, LabelledOutputs, fit_levels
from agelens.evaluation.adaptation.selection import FOLDS, figure_values, person_folds, select
from agelens.evaluation.bootstrap import Estimate
from agelens.evaluation.figures import CENTRAL
from labelled import bells


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "resample", partial(bootstrap.resample, resamples=400))


def album(
    count: int, lean: Callable[[np.ndarray], np.ndarray] | float = 0.0, width: float = 4.0,
    sure: float = 1.0, seed: int = 3,
) -> LabelledOutputs:  # fmt: skip
    random = np.random.default_rng(seed)
    age = random.integers(5, 70, count).astype(float)
    off = lean(age) if callable(lean) else lean
    predicted = np.clip(age + off + random.normal(0, 4, count), 1, 100)
    logits = random.normal(0, 2, count)
    female = random.random(count) < 1 / (1 + np.exp(-sure * logits))
    probability = 1 / (1 + np.exp(-logits))
    people = np.arange(count) // 4
    return LabelledOutputs(bells(predicted, width), probability, age, female * 1.0, people)


def error_of(adaptation: Adaptation, faces: LabelledOutputs) -> float:
    return float(figure_values(adaptation.faces(faces, CENTRAL), faces)["age_mae"].mean())


def test_known_lean_is_mended_for_other_people() -> None:
    lean = lambda age: np.where(age < 40, 7.0, -3.0)  # noqa: E731
    done = select(album(200, lean), CENTRAL)
    assert "ages" in done.kept
    mae = done.found["figures"]["age_mae"]
    assert mae["before"]["value"] > 5.5 and mae["after"]["value"] < 5
    assert mae["difference"]["high"] < 0
    fresh = album(400, lean, seed=9)
    assert error_of(done.adaptation, fresh) < error_of(Adaptation(), fresh) - 0.8
    assert done.found["moved_years"] == pytest.approx(3.5, abs=0.5)


@pytest.mark.parametrize(
    ("bias", "mae_gap", "gained"),
    [((3.0, 0.4), -0.4, True), ((0.8, 0.1), -0.1, False), ((3.0, 0.4), 0.1, False),
     ((3.0, -4.0), -0.4, False)],
)  # fmt: skip
def test_a_lean_that_is_mended_counts_as_a_gain(
    bias: tuple[float, float], mae_gap: float, gained: bool
) -> None:
    def near(value: float) -> Estimate:
        return Estimate(value, value - 0.5, value + 0.5)

    before, after = bias
    table = {
        "age_bias": [near(before), near(after), near(after - before)],
        "age_mae": [near(4.0), near(4.0 + mae_gap), near(mae_gap)],
        "age_log_loss": [near(2.0), near(2.0), near(0.0)],
    }
    assert selection.gains("ages", table) is gained


def test_narrow_intervals_are_mended() -> None:
    done = select(album(320, width=2.0), CENTRAL)
    coverage = done.found["figures"]["interval_coverage"]
    assert "intervals" in done.kept
    assert coverage["before"]["high"] < 0.8
    assert coverage["after"]["value"] == pytest.approx(0.91, abs=0.03)
    assert done.found["moved_years"] < 1


def test_overconfident_gender_is_mended_without_ages() -> None:
    faces = replace(album(400, sure=0.3), age=np.full(400, np.nan))
    done = select(faces, CENTRAL)
    assert done.kept == ("gender",) and done.adaptation.slope == pytest.approx(0.3, abs=0.15)
    assert done.found["figures"]["age_mae"]["before"]["value"] is None
    assert done.found["by_age"] == []


@pytest.mark.parametrize("seed", range(4))
def test_thirty_faces_of_a_good_model_change_nothing_harmful(seed: int) -> None:
    done = select(album(30, seed=seed), CENTRAL)
    fresh = album(400, seed=99)
    assert error_of(done.adaptation, fresh) < error_of(Adaptation(), fresh) + 0.15


def test_good_model_stays_as_it_is() -> None:
    honest = album(4000, seed=8)
    levels = fit_levels(honest.age_probabilities, honest.age, np.arange(4000))
    done = select(album(400), levels)
    assert done.kept == () and not done.found["kept"]
    assert done.found["moved_years"] < 0.7
    faces = album(20)
    same = done.adaptation.faces(faces, CENTRAL)
    assert np.allclose(same.probabilities, faces.age_probabilities, atol=1e-7)
    assert np.allclose(same.female_probability, faces.female_probability)


def test_all_faces_of_a_person_are_in_one_fold() -> None:
    people = np.array([f"p{number // 7}" for number in range(700)], object)
    fold = person_folds(people)
    assert all(len(set(fold[people == one])) == 1 for one in set(people))
    assert np.bincount(fold, minlength=FOLDS).tolist() == [70] * FOLDS
    assert not np.array_equal(fold, person_folds(people, 1))
    assert len(set(person_folds(np.array(["a"] * 96 + list("bcde"), object)))) >= 2


def test_too_few_faces_or_people_are_refused() -> None:
    with pytest.raises(DatasetError, match="29 faces of 8 people are too few to adapt"):
        select(album(29), CENTRAL)
    with pytest.raises(DatasetError, match=r"40 faces of 1 people .* 30 faces of 5 people"):
        select(replace(album(40), people=np.zeros(40)), CENTRAL)


@pytest.mark.parametrize(("before", "after", "moved", "change"), [
    (0.80, 0.90, 0.10, 1),  # failed, holds
    (0.70, 0.80, 0.10, 1),  # still fails, but less
    (0.97, 0.91, -0.06, 1),
    (0.90, 0.80, -0.10, -1),  # held, fails
    (0.80, 0.70, -0.10, -1),
    (0.80, 0.98, 0.18, 0),  # fails on the other side
    (0.90, 0.92, 0.02, 0),  # held, and holds
])  # fmt: skip
def test_coverage_change(before: float, after: float, moved: float, change: int) -> None:
    old, new = (Estimate(value, value - 0.03, value + 0.03) for value in (before, after))
    gap = Estimate(moved, moved - 0.01, moved + 0.01)
    assert selection.coverage_change(old, new, gap) == change
    assert selection.coverage_change(old, new, Estimate(moved, moved - 0.5, moved + 0.5)) == 0


def test_interval_score_adds_width_and_misses() -> None:
    low, high = np.array([20.0, 30.0, 40.0]), np.array([30.0, 35.0, 44.0])
    ages = np.array([25, 30, 50])  # inside, at the end, 6 years outside
    faces = replace(Adaptation().faces(album(3), CENTRAL), age=ages, age_low=low, age_high=high)
    assert selection.interval_scores(faces) == pytest.approx([10, 5, 4 + 20 * 6])
