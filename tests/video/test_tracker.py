import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.video.tracker import SAME_PERSON, Detection, Tracker, appearance

random = np.random.default_rng(3)


def likeness(seed: int, near: "np.ndarray | float" = 0.0, share: float = 0.0) -> np.ndarray:
    """Draw an appearance; with `near`, one that is similar to it by about `share`."""
    value = np.random.default_rng(seed).normal(size=768)
    value -= value.mean()
    value = share * near + np.sqrt(1 - share**2) * value / np.linalg.norm(value)
    return value / np.linalg.norm(value)


ROOM, STREET = likeness(100), likeness(101)
ANNA, BORIS = likeness(1), likeness(2)
TWIN = likeness(3, ANNA, 0.97)
PLACES = st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(1, 300))


def at(x: float, y: float = 100.0, who: np.ndarray = ANNA, size: float = 50.0) -> Detection:
    return Detection((x, y), size, who)


def follow(frames: list[list[Detection]], step: float = 0.2) -> list[list[int]]:
    tracker = Tracker()
    return [tracker.update(i * step, spots, ROOM) for i, spots in enumerate(frames)]


def test_a_walking_person_is_one_track() -> None:
    assert follow([[at(20 + 45 * i)] for i in range(12)]) == [[1]] * 12


@pytest.mark.parametrize("other", [BORIS, TWIN], ids=["unlike", "alike"])
@pytest.mark.parametrize("hidden", [0, 1, 3], ids=lambda n: f"{n} frames hidden")
def test_two_who_cross_keep_their_numbers(other: np.ndarray, hidden: int) -> None:
    tracker = Tracker()
    seen = []
    for i in range(21):
        spots = [at(20 * i, who=ANNA), at(400 - 20 * i, 104.0, who=other)]
        if abs(i - 10) <= hidden // 2 and hidden:
            spots = spots[:1]  # one stands before the other
        order = list(random.permutation(len(spots)))
        numbers = tracker.update(i * 0.1, [spots[j] for j in order], ROOM)
        seen.append([numbers[order.index(j)] for j in range(len(spots))])
    assert sorted(seen[0]) == [1, 2]
    assert all(numbers == seen[0][: len(numbers)] for numbers in seen)


def test_neighbours_who_move_together_keep_their_numbers() -> None:
    frames = [[at(100 * k + 60 * i, who=likeness(k)) for k in range(4)] for i in range(6)]
    assert follow(frames) == [[1, 2, 3, 4]] * 6


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    path = [[at(100 + 5 * i)] for i in range(5)]
    assert follow([*path, [], [], [at(140)]])[-1] == [1]
    assert follow([*path, *[[]] * 8, [at(165)]])[-1] == [2]
    assert follow([[at(100)], [at(102)], [], [at(101)]], step=5.0)[-1] == [1]  # few frames


OTHERS = {
    "another": at(100, who=BORIS),
    "one somewhat alike": at(100, who=likeness(9, ANNA, 0.7)),
    "one like no one before": at(100, who=likeness(8, BORIS, 0.9), size=55),
    "an alike face far away": at(500),
}


@pytest.mark.parametrize("who", OTHERS)
def test_no_track_jumps_to_another_face_at_a_cut(who: str) -> None:
    tracker = Tracker()
    for i in range(5):
        tracker.update(i * 0.2, [at(100)], ROOM)
    assert tracker.update(1.0, [OTHERS[who]], STREET) == [2]
    assert follow([[at(100)], [at(100)], [at(100, who=BORIS)]])[-1] == [2]  # in the same room


def test_a_flash_does_not_end_a_track() -> None:
    tracker = Tracker()
    tracker.update(0.0, [at(100)], ROOM)
    tracker.update(0.2, [], np.zeros_like(ROOM))
    assert tracker.update(0.4, [at(103)], ROOM) == [1]
    assert tracker.update(0.6, [at(150, who=likeness(5, ANNA, 0.7))], ROOM) == [1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(PLACES, max_size=6), max_size=8), st.floats(0.01, 20))
def test_every_face_has_its_own_number(frames, step: float) -> None:
    tracker = Tracker()
    known = 0
    for i, frame in enumerate(frames):
        faces = [at(x, y, likeness(i), size) for x, y, size in frame]
        numbers = tracker.update(i * step, faces, ROOM)
        assert len(set(numbers)) == len(frame)
        new = sorted(n for n in numbers if n > known)
        assert new == list(range(known + 1, known + 1 + len(new)))
        known += len(new)


def test_the_appearance_of_a_face_is_stable(astronaut, drawn_chip) -> None:
    from agelens.faces.detector import Detector

    (face,) = Detector().detect(astronaut)
    here = Detection.of(astronaut, face.box, face.landmarks)
    moved = np.roll(astronaut, (7, -9), (0, 1))
    moved = np.clip(moved * 0.7 + 20, 0, 255).astype(np.uint8)
    (there,) = Detector().detect(moved)
    again = Detection.of(moved, there.box, there.landmarks)
    assert here.appearance @ again.appearance > SAME_PERSON
    assert again.centre[0] == pytest.approx(here.centre[0] - 9, abs=2)
    assert here.size == pytest.approx(max(face.box.width, face.box.height))
    assert appearance(drawn_chip(200), 16, 16) @ here.appearance < 0.6
    assert not appearance(np.full((40, 30, 3), 90, np.uint8), 16, 16).any()  # uniform
