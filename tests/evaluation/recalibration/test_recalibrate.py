from dataclasses import replace

import numpy as np
import pytest

from agelens.evaluation.bootstrap import Estimate
from agelens.evaluation.figures import Faces
from agelens.evaluation.recalibration import recalibrate
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
    faces = replace(
        drawn_faces(3), age=np.array([25, 30, 50]), age_low=low, age_high=high
    )  # inside, inside by the year, 6 years outside
    scores = recalibrate.interval_scores(faces)
    assert scores.mean() == pytest.approx((10 + 5 + 4 + 20 * 6) / 3)


def test_rare_gender_is_not_recalibrated() -> None:
    faces = drawn_faces(200)
    assert recalibrate.fit(faces)[0].gender != 1
    rare = replace(faces, female=np.arange(200) < 19)
    scaling, _ = recalibrate.fit(rare)
    assert (scaling.gender, scaling.bias) == (1.0, 0.0)
    assert scaling.age != 1


def drawn_faces(count: int) -> Faces:
    random = np.random.default_rng(4)
    centre = random.uniform(30, 60, count)
    spread = bells(centre, 3).astype(np.float32)
    ages = np.round(centre + random.normal(0, 5, count)).astype(np.int64)
    said = random.uniform(0.05, 0.95, count)
    return Faces.from_distributions(ages, random.random(count) < said**2, spread, said)
