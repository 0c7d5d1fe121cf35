from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from agelens.errors import DatasetError
from agelens.evaluation.bootstrap import Estimate
from agelens.evaluation.figures import Faces
from agelens.evaluation.recalibration import recalibrate
from agelens.evaluation.recalibration.recalibrate import split_in_half
from agelens.evaluation.recalibration.verdicts import MIN_HALF
from labelled import bells


@pytest.mark.parametrize(
    ("before", "after", "moved", "change"),
    [
        (0.80, 0.90, 0.10, 1),  # failed, holds
        (0.70, 0.80, 0.10, 1),  # still fails, but less
        (0.97, 0.91, -0.06, 1),
        (0.90, 0.80, -0.10, -1),  # held, fails
        (0.80, 0.70, -0.10, -1),
        (0.80, 0.98, 0.18, 0),  # fails on the other side
        (0.90, 0.92, 0.02, 0),  # held, and holds
    ],
)
def test_coverage_change_towards_the_promise(
    before: float, after: float, moved: float, change: int
) -> None:
    old, new = (Estimate(value, value - 0.03, value + 0.03) for value in (before, after))
    gap = Estimate(moved, moved - 0.01, moved + 0.01)
    assert recalibrate.coverage_change(old, new, gap) == change
    assert recalibrate.coverage_change(old, new, Estimate(moved, moved - 0.5, moved + 0.5)) == 0


def test_interval_score_adds_width_and_misses() -> None:
    low, high = np.array([20.0, 30.5, 40.0]), np.array([30.0, 35.5, 44.0])
    # inside, inside by the year, 6 years outside
    faces = replace(drawn_faces(3), age=np.array([25, 30, 50]), age_low=low, age_high=high)
    assert recalibrate.interval_scores(faces) == pytest.approx([10, 5, 4 + 20 * 6])


def test_rare_gender_is_not_recalibrated() -> None:
    faces = drawn_faces(200)
    assert recalibrate.fit(faces)[0].gender != 1
    scaling, _ = recalibrate.fit(replace(faces, female=np.arange(200) < 19))
    assert (scaling.gender, scaling.bias) == (1.0, 0.0) and scaling.age != 1


def drawn_faces(count: int) -> Faces:
    random = np.random.default_rng(4)
    centre = random.uniform(30, 60, count)
    spread = bells(centre, 3).astype(np.float32)
    ages = np.round(centre + random.normal(0, 5, count)).astype(np.int64)
    said = random.uniform(0.05, 0.95, count)
    return Faces.from_distributions(ages, random.random(count) < said**2, spread, said)


def table(folds: list[int], **columns: list[object]) -> pl.DataFrame:
    digests = [f"{number:064}" for number in range(len(folds))]
    return pl.DataFrame({"fold": folds, "sha256": digests} | columns)


def test_whole_folds_go_to_one_half() -> None:
    samples = table([number % 10 for number in range(1000)])
    halves = split_in_half(samples, 0)
    assert (halves.by, int(halves.fit.sum())) == ("folds", 500)
    folds = samples["fold"].to_numpy()
    assert not set(folds[halves.fit]) & set(folds[~halves.fit])
    assert np.array_equal(split_in_half(samples, 0).fit, halves.fit)
    others = [split_in_half(samples, seed).fit for seed in range(1, 5)]
    assert not all(np.array_equal(other, halves.fit) for other in others)


def test_single_fold_is_split_by_people_or_photos() -> None:
    people = [f"p{number // 7}" if number % 3 else None for number in range(700)]
    halves = split_in_half(table([3] * 700, subject=people), 1)
    assert halves.by == "people" and abs(halves.fit.mean() - 0.5) < 0.05
    names = np.array(people, object)
    assert set(names[halves.fit]) & set(names[~halves.fit]) == {None}
    halves = split_in_half(table([3] * 700, sha256=[f"{n // 2:064}" for n in range(700)]), 1)
    assert halves.by == "photos"
    assert np.array_equal(halves.fit[::2], halves.fit[1::2])


def test_too_small_halves_are_refused() -> None:
    assert int(split_in_half(table([n % 2 for n in range(2 * MIN_HALF)]), 0).fit.sum()) == MIN_HALF
    with pytest.raises(DatasetError, match=f"expected at least {MIN_HALF}"):
        split_in_half(table([n % 2 for n in range(2 * MIN_HALF - 2)]), 0)
    with pytest.raises(DatasetError, match="0 faces are too few"):
        split_in_half(table([]), 0)
