"""The words of the house: boxes, landmarks, genders."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.face import Box, Face, Gender, Landmarks

sides = st.floats(-1000, 1000)


def box_of(a: float, b: float, c: float, d: float) -> Box:
    return Box(min(a, c), min(b, d), max(a, c), max(b, d))


boxes = st.builds(box_of, sides, sides, sides, sides)


def test_sizes() -> None:
    box = Box(10, 20, 40, 60)
    assert (box.width, box.height, box.area) == (30, 40, 1200)
    assert Box(5, 5, 1, 9).area == 0


def test_overlap_of_known_boxes() -> None:
    assert Box(0, 0, 10, 10).overlap(Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert Box(0, 0, 10, 10).overlap(Box(10, 0, 20, 10)) == 0  # right is exclusive


@given(boxes, boxes)
def test_overlap_is_a_symmetric_share(a: Box, b: Box) -> None:
    assert a.overlap(b) == pytest.approx(b.overlap(a))
    assert 0 <= a.overlap(b) <= 1 + 1e-9
    if a.area > 1e-3:
        assert a.overlap(a) == pytest.approx(1)


@given(st.lists(sides, min_size=10, max_size=10))
def test_landmarks_there_and_back(values: list[float]) -> None:
    points = np.array(values).reshape(5, 2)
    marks = Landmarks.from_array(points)
    np.testing.assert_array_equal(marks.array(), points)
    assert marks.left_mouth == tuple(points[4])


def test_landmarks_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2\)"):
        Landmarks.from_array(np.zeros((4, 2)))


def test_results_are_frozen() -> None:
    face = Face(Box(0, 0, 1, 1), Landmarks.from_array(np.zeros((5, 2))), 0.9)
    with pytest.raises(dataclasses.FrozenInstanceError):
        face.score = 1.0  # type: ignore[misc]


def test_gender_reads_as_its_word() -> None:
    assert str(Gender.FEMALE) == "female"
    assert Gender("male") is Gender.MALE
