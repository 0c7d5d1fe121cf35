import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agelens.errors import ConfigError
from agelens.faces import detector as module
from agelens.faces.detector import Detector
from agelens.images.decode import read
from agelens.results import Face

# The pupils in the 512 px portrait, read off an enlargement; YuNet's points stand a little lower.
EYES = np.array([(202.5, 100.2), (245.2, 103.2)])


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def eyes(face: Face) -> NDArray[np.float64]:
    return face.landmarks.array()[:2]


def test_the_portrait_has_one_face_where_it_is(detector, astronaut) -> None:
    before = astronaut.copy()
    (face,) = detector.detect(astronaut)
    assert face.score > 0.85 and np.abs(eyes(face) - EYES).max() < 6
    assert astuple(face.box) == pytest.approx((179, 61, 270, 172), abs=11)
    np.testing.assert_array_equal(astronaut, before)


@pytest.mark.parametrize("side", [100, 200, 333, 641, 1600])
def test_the_same_face_at_any_picture_size(detector, astronaut, side: int) -> None:
    way = cv2.INTER_AREA if side < 512 else cv2.INTER_LINEAR
    (face,) = detector.detect(cv2.resize(astronaut, (side, side), interpolation=way))
    two_pixels = 2 * 512 / side
    assert np.abs(eyes(face) * 512 / side - EYES).max() < max(8, two_pixels)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_pictures_in_quarter_turns(detector, astronaut, quarter: int) -> None:
    (face,) = detector.detect(np.ascontiguousarray(np.rot90(astronaut, quarter)))
    points = eyes(face)
    for _ in range(quarter):  # turn the points back
        points = np.column_stack([512 - points[:, 1], points[:, 0]])
    assert np.abs(points - EYES).max() < 8


@pytest.mark.parametrize("angle", range(20, 360, 80))
def test_faces_at_any_angle(detector, astronaut, angle: int) -> None:
    matrix = cv2.getRotationMatrix2D((222, 120), angle, 1)
    faces = detector.detect(cv2.warpAffine(astronaut, matrix, (512, 512)))
    truth = EYES @ matrix[:, :2].T + matrix[:, 2]
    best = min(faces, key=lambda face: np.abs(eyes(face) - truth).max())
    assert np.abs(eyes(best) - truth).max() < 10
    seen, real = (np.arctan2(*(points[1] - points[0])[::-1]) for points in (eyes(best), truth))
    assert abs((np.degrees(seen - real) + 180) % 360 - 180) < 10


@pytest.mark.parametrize(("drawn", "pixels"), [(False, 4.5), (True, 8)])
def test_landmarks_agree_at_any_size_and_angle(detector, astronaut, drawn, pixels: float) -> None:
    picture = cv2.stylization(astronaut, sigma_s=20, sigma_r=0.45) if drawn else astronaut
    landmarks = detector.detect(picture)[0].landmarks.array()
    off = []
    for scale, angle in (
        (0.5, 0),
        (0.6, 200),
        (0.8, 45),
        (1, 260),
        (1, 340),
        (1.5, 70),
        (2.5, 310),
    ):
        # over a grid of pixel centres, so that the middle of the face stays where it is
        matrix = cv2.getRotationMatrix2D((221.5, 119.5), angle, scale)
        way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        faces = detector.detect(cv2.warpAffine(picture, matrix, (512, 512), flags=way))
        there = (landmarks - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5
        chip_pixels = 79 / np.linalg.norm(there[1] - there[0])
        off.append(min(np.abs(f.landmarks.array() - there).max() for f in faces) * chip_pixels)
    assert max(off) < pixels
    assert np.mean(off) < pixels * 0.6


def test_landmarks_of_the_mirror_image_are_mirrored(detector, astronaut) -> None:
    (face,), (mirrored,) = map(
        detector.detect, (astronaut, np.ascontiguousarray(astronaut[:, ::-1]))
    )
    back = mirrored.landmarks.array()[[1, 0, 2, 4, 3]] * (-1, 1) + (512, 0)
    assert np.abs(back - face.landmarks.array()).max() < 1.5


def test_landmarks_stay_where_the_chip_shows_no_face(detector, astronaut) -> None:
    (face,) = detector.detect(astronaut)
    candidate = module._Candidate((224, 118), 91, 110, face.landmarks.array(), 0.9, 0)
    assert detector._refine(np.full_like(astronaut, 90), candidate) is candidate


def test_a_face_that_fills_the_picture(detector, astronaut) -> None:
    tight = astronaut[66:170, 175:272]
    for side in (97, 400, 1200):
        (face,) = detector.detect(cv2.resize(tight, (side, side)))
        assert face.box.width > 0.6 * side and 0 <= face.box.left < face.box.right <= side


def test_a_group_with_turned_and_mirrored_people(detector, group_path) -> None:
    boxes = [face.box for face in detector.detect(read(group_path))]
    assert len(boxes) == 9 and boxes == sorted(boxes, key=lambda box: -box.area)
    assert all(one.overlap(other) < 0.2 for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("shape", [(1, 1), (7, 2000), (300, 400), (1400, 900)])
def test_no_face_is_an_empty_list(detector, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    board = np.uint8(255 * (np.indices(shape).sum(axis=0) // 30 % 2))
    for picture in (np.full_like(noise, 90), noise, np.repeat(board[..., None], 3, axis=2)):
        assert detector.detect(picture) == []


def test_narrow_pictures_return_no_faces_of_earlier_ones(detector, astronaut) -> None:
    for _ in range(3):
        for height, width in ((1, 900), (7, 640), (20, 320)):
            assert detector.detect(np.full((height, width, 3), 90, np.uint8)) == []
        assert len(detector.detect(astronaut)) == 1


def test_one_detector_serves_several_threads(detector, astronaut) -> None:
    pictures = [cv2.resize(astronaut, (side, side)) for side in (160, 200, 240, 280)] * 2
    alone = [detector.detect(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector.detect, pictures)) == alone


@pytest.mark.parametrize("setting", [{"longest": 10}, {"threshold": 1.5}])
def test_settings_out_of_range_are_refused(setting) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        Detector(**setting)
