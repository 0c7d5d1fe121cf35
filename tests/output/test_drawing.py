import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.output.drawing import BACKGROUND, COLOURS, annotate
from agelens.output.drawing import _fit_label as fit
from agelens.output.drawing import _place_label as place
from agelens.results import Box, Gender, Prediction, Status

AGES = np.full(117, 1 / 117, np.float32)


def person(box: Box | None, female: float = 0.9, status: Status = Status.OK) -> Prediction:
    gender = Gender.FEMALE if female >= 0.5 else Gender.MALE
    return Prediction(34.2, (28.4, 40.6), AGES, gender, female, box, None, None, status)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(axis=-1).sum())


def test_labels_are_shortened_to_fit_the_picture() -> None:
    for status, mark in ((Status.OK, ""), (Status.UNSURE, "?")):
        one = person(None, 0.1, status)
        texts = [fit(one, "", Box(0, 0, 60, 60), (width, 60))[0] for width in (400, 60, 20)]
        assert texts == [f"man, 34 (28-41){mark}", f"34 (28-41){mark}", f"34{mark}"]


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_box_and_label_are_visible_on_any_background(ground: int) -> None:
    picture = np.full((400, 600, 3), ground, np.uint8)
    marked = annotate(picture, [person(Box(200, 150, 320, 300))])
    assert (picture == ground).all()  # the input is left as it is
    colours = [COLOURS[Gender.FEMALE]] * 2 + [BACKGROUND]
    assert marked[225, [200, 319, 199]].tolist() == list(map(list, colours))
    assert count(marked, BACKGROUND) > 500  # the label's ground
    rows, columns = np.nonzero((marked[:145] == BACKGROUND).all(axis=-1))
    label = marked[rows.min() : rows.max(), columns.min() : columns.max()]
    assert 0.03 < (label == 255).all(axis=-1).mean() < 0.5  # white letters on it
    assert (marked[160:290, 210:310] == ground).all()  # the face itself is free


def test_lines_and_letters_grow_with_the_picture() -> None:
    shares = []
    for scale in (1, 4):
        picture = np.zeros((400 * scale, 600 * scale, 3), np.uint8)
        box = Box(200 * scale, 150 * scale, 320 * scale, 300 * scale)
        marked = annotate(picture, [person(box, female=0.1)])
        shares.append((marked > 0).any(axis=-1).mean())
        assert count(marked, COLOURS[Gender.MALE]) > 100  # genders differ in colour
        assert count(marked, COLOURS[Gender.FEMALE]) == 0
    assert shares[1] == pytest.approx(shares[0], rel=0.35)


def test_nothing_to_draw_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)
    for people in ([], [person(None)]):
        np.testing.assert_array_equal(annotate(picture, people), picture)


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (12, 12), (60, 40)])
def test_tiny_pictures_do_not_fail(shape: tuple[int, int]) -> None:
    marked = annotate(np.zeros((*shape, 3), np.uint8), [person(Box(0, 0, shape[1], shape[0]))])
    assert marked.shape == (*shape, 3)


edge = st.floats(-50, 850)


@settings(max_examples=100, deadline=None)
@given(edge, edge, st.floats(1, 800), st.floats(1, 600), st.floats(20, 300), st.floats(8, 60))
def test_labels_never_leave_the_picture(x, y, wide, high, label, tall) -> None:
    spot = place(Box(x, y, x + wide, y + high), label, tall, (800, 600), [], [], 2)
    assert 0 <= spot.left < spot.right <= 801 and 0 <= spot.top < spot.bottom <= 601


def test_labels_of_neighbours_do_not_cover_each_other_or_their_faces() -> None:
    faces = [Box(40 + 90 * i, 100 + 60 * j, 100 + 90 * i, 150 + 60 * j)
             for i in range(4) for j in range(2)]  # fmt: skip
    taken: list[Box] = []
    for box in faces:
        others = [other for other in faces if other is not box]
        spot = place(box, 80, 9, (500, 400), taken, others, 1)
        assert all(spot.overlap(other) == 0 for other in taken + faces)
        taken.append(spot)


def test_labels_begin_with_the_numbers() -> None:
    picture = np.full((400, 600, 3), 128, np.uint8)
    people = [person(Box(50, 150, 170, 300)), person(None), person(Box(400, 150, 520, 300))]
    plain, numbered = annotate(picture, people), annotate(picture, people, [1, 2, 3])
    assert count(numbered, BACKGROUND) > count(plain, BACKGROUND)
    assert (annotate(picture, people, []) == plain).all()
    with pytest.raises(ValueError, match="zip"):
        annotate(picture, people, [1, 2])
