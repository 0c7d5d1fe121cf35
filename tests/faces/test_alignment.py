import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agelens.faces.alignment import SIDE, TEMPLATE, similarity, warp
from agelens.results import Landmarks


def turn(scale: float, degrees: float, shift: tuple[float, float]) -> NDArray[np.float64]:
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:, :2].T + matrix[:, 2]


@given(st.floats(0.01, 100), st.floats(-180, 180), st.floats(-5000, 5000), st.floats(-5000, 5000))
def test_similarity_is_recovered(scale: float, degrees: float, x: float, y: float) -> None:
    truth = turn(scale, degrees, (x, y))
    found = similarity(TEMPLATE, apply(truth, TEMPLATE))
    np.testing.assert_allclose(found, truth, rtol=1e-6, atol=1e-6 * max(1, abs(x), abs(y)))


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=5, max_size=5))
def test_noisy_points_get_the_best_fit_without_reflection(noise: list) -> None:
    target = TEMPLATE + np.array(noise)
    found = similarity(TEMPLATE, target)
    assert np.linalg.det(found[:, :2]) >= -1e-9

    def misfit(matrix: NDArray[np.float64]) -> float:
        return float(((apply(matrix, TEMPLATE) - target) ** 2).sum())

    for nudge in (turn(1.01, 0, (0, 0)), turn(1, 1, (0, 0)), turn(1, 0, (0.5, 0))):
        other = np.column_stack([nudge[:, :2] @ found[:, :2], apply(nudge, found[:, 2])])
        assert misfit(found) <= misfit(other) + 1e-6


def test_mirrored_points_are_not_mirrored_back_and_coinciding_ones_are_refused() -> None:
    assert np.linalg.det(similarity(TEMPLATE, TEMPLATE * (-1, 1))[:, :2]) > 0
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((5, 2)), TEMPLATE)


def blobs(size: int, points: NDArray[np.float64], radius: float) -> NDArray[np.uint8]:
    y, x = np.mgrid[:size, :size] + 0.5
    light = np.full((size, size), 40.0)
    for px, py in points:
        light += 200 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2))
    return np.repeat(np.clip(light, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def peak(chip: NDArray[np.uint8], near: NDArray[np.float64]) -> NDArray[np.float64]:
    y, x = np.mgrid[: chip.shape[0], : chip.shape[1]] + 0.5
    weight = np.maximum(chip[..., 0].astype(float) - 60, 0)
    weight *= (x - near[0]) ** 2 + (y - near[1]) ** 2 < 12**2
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize(
    ("scale", "degrees"),
    [(0.2, 33), (0.5, 90), (1.0, 0), (1.0, 180), (1.0, -60), (2.3, 33), (2.3, 180), (4.0, -60)],
)
def test_landmarks_match_the_template_at_any_size_and_angle(scale: float, degrees: float) -> None:
    size = round(320 * scale)
    to_picture = turn(scale, degrees, (0, 0))
    to_picture[:, 2] = size / 2 - to_picture[:, :2] @ (SIDE / 2, SIDE / 2)
    points = apply(to_picture, TEMPLATE)
    chip = warp(blobs(size, points, 4 * scale), Landmarks.from_array(points))
    assert chip.shape == (SIDE, SIDE, 3)
    for target in TEMPLATE:
        # half a source pixel is the most that a coarse picture can hide
        assert np.abs(peak(chip, target) - target).max() < 0.35 + 0.05 / scale


def test_beyond_the_picture_is_black() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    chip = warp(white, Landmarks.from_array(TEMPLATE - (100, 0)))
    assert chip[1:99, 101:199].min() == 255  # the picture's place in the chip
    assert chip[:, :99].max() == chip[101:].max() == 0
    for far in (-5000, 5000):
        assert warp(white[:50, :60], Landmarks.from_array(TEMPLATE + far)).max() == 0


def test_fine_stripes_do_not_alias_when_a_large_face_shrinks() -> None:
    stripes = np.zeros((2400, 2400, 3), np.uint8)
    stripes[:, ::2] = 255
    for degrees in (0, 20):
        matrix = turn(10, degrees, (0, 0))
        matrix[:, 2] = 1200 - matrix[:, :2] @ (100, 100)
        chip = warp(stripes, Landmarks.from_array(apply(matrix, TEMPLATE)))
        middle = chip[60:140, 60:140].astype(float)
        assert abs(middle.mean() - 127.5) < 2 and middle.std() < 4


def test_other_sizes_scale_the_template() -> None:
    small = warp(blobs(200, TEMPLATE, 4), Landmarks.from_array(TEMPLATE), size=100)
    assert np.abs(peak(small, TEMPLATE[2] / 2) - TEMPLATE[2] / 2).max() < 0.3
