import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.results import Box, Gender, Landmarks, Prediction, Reason, Status

sides = st.floats(-1000, 1000)
spans = st.tuples(sides, sides).map(sorted)
boxes = st.builds(lambda x, y: Box(x[0], y[0], x[1], y[1]), spans, spans)


def test_sizes_and_overlaps_of_known_boxes() -> None:
    box = Box(10, 20, 40, 60)
    assert (box.width, box.height, box.area) == (30, 40, 1200)
    assert Box(5, 5, 1, 9).area == 0
    assert Box(0, 0, 10, 10).overlap(Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert Box(0, 0, 10, 10).overlap(Box(10, 0, 20, 10)) == 0  # right is exclusive


@given(boxes, boxes)
def test_overlap_is_a_symmetric_share(a: Box, b: Box) -> None:
    assert a.overlap(b) == pytest.approx(b.overlap(a)) and 0 <= a.overlap(b) <= 1 + 1e-9
    if a.area > 1e-3:
        assert a.overlap(a) == pytest.approx(1)


@given(st.lists(sides, min_size=10, max_size=10))
def test_landmarks_survive_the_round_trip(values: list[float]) -> None:
    points = np.array(values).reshape(5, 2)
    marks = Landmarks.from_array(points)
    np.testing.assert_array_equal(marks.array(), points)
    assert marks.left_mouth == tuple(points[4])
    with pytest.raises(ValueError, match=r"\(4, 2\)"):
        Landmarks.from_array(points[:4])


def person(years: int, female: float = 0.95, **more: object) -> Prediction:
    ages = np.zeros(117, np.float32)
    ages[years] = 1
    gender = Gender.FEMALE if female >= 0.5 else Gender.MALE
    one = Prediction(years, (years - 3.4, years + 3.6), ages, gender, female, None, None, None)
    return dataclasses.replace(one, **more)


def test_the_probability_to_be_over_an_age() -> None:
    certain = person(18)
    assert [certain.p_over(years) for years in (0, 17, 18, 19)] == [1, 1, 1, 0]
    assert certain.p_over(18.25) == pytest.approx(0.75)  # 18 lasts until 19
    even = person(18, age_probabilities=np.full(117, 1 / 117, np.float32))
    assert [even.p_over(60), even.p_over(200)] == pytest.approx([57 / 117, 0])


@given(st.floats(-5, 125), st.floats(-5, 125), st.integers(0, 2**32 - 1))
def test_the_probability_falls_with_the_age(a: float, b: float, seed: int) -> None:
    ages = np.random.default_rng(seed).dirichlet(np.ones(117)).astype(np.float32)
    one = person(30, age_probabilities=ages)
    assert 0 <= one.p_over(max(a, b)) <= one.p_over(min(a, b)) <= 1


@pytest.mark.parametrize(
    ("years", "female", "word"),
    [(34, 0.95, "woman"), (18, 0.1, "man"), (17, 0.1, "boy"), (4, 0.9, "girl")],
)
def test_a_person_is_one_word(years: int, female: float, word: str) -> None:
    assert person(years, female).person == word
    assert str(person(years, female)) == f"{word}, {years} ({years - 3}-{years + 4})"


@pytest.mark.parametrize(
    ("years", "word"), [(4, "child"), (13, "young person"), (17, "young person"), (18, "person")]
)
def test_the_word_is_neutral_where_the_gender_is_unclear(years: int, word: str) -> None:
    unclear = {"status": Status.UNSURE, "reasons": (Reason.GENDER_UNCLEAR,)}
    assert person(years, **unclear).person == person(years, gender=None).person == word


def test_plain_values() -> None:
    poor = {"status": Status.POOR, "reasons": (Reason.TOO_SMALL, Reason.DARK)}
    one = person(34, error_probability=0.123456, **poor)
    assert one.remark == "poorly visible (too small; too dark)"
    values = one.to_dict(distribution=True)
    assert len(values.pop("age_probabilities")) == 117
    assert values == json.loads(one.to_json()) == {
        "age": 34, "age_interval": [30.6, 37.6], "gender": "female", "female_probability": 0.95,
        "status": "poor", "reasons": ["too_small", "dark"], "doubt": 0.1235,
        "box": None, "landmarks": None, "detection_score": None,
    }  # fmt: skip
    assert person(34, gender=None).to_dict()["gender"] is None
    odd = person(34, status=Status.POOR, reasons=(Reason.UNLIKE,))
    assert odd.remark == "poorly visible (unusual face: covered, masked, or not a face)"
    assert odd.to_dict()["reasons"] == ["unlike"]
