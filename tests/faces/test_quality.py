"""Face quality: each measure against pictures whose truth is known."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.faces import quality
from agelens.faces.alignment import TEMPLATE, warp
from agelens.faces.detector import Detector
from agelens.images.resample import shrink
from agelens.results import Landmarks, Reason

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
RECORD, OUT_OF_DISTRIBUTION = RESULTS / "uncertainty.json", RESULTS / "out_of_distribution.json"
THRESHOLDS = quality.Thresholds()


def placed(scale: float = 1, left: float = 0, top: float = 0, turn: float = 0) -> Landmarks:
    """Put the template's points into a picture: scaled, turned by degrees, moved."""
    c, s = math.cos(math.radians(turn)) * scale, math.sin(math.radians(turn)) * scale
    return Landmarks.from_array(TEMPLATE @ np.array([[c, s], [-s, c]]) + (left, top))


@settings(deadline=None)
@given(st.floats(0.05, 20), st.floats(-500, 500), st.floats(0, 360))
def test_source_size_does_not_depend_on_rotation(scale: float, left: float, turn: float) -> None:
    assert quality.source_size(placed(scale, left, -left, turn)) == pytest.approx(
        200 * scale, rel=1e-6
    )


@pytest.mark.parametrize(("left", "share"), [(0, 0.0), (-40, 0.0), (-100, 0.5), (-160, 1.0)])
def test_share_outside_is_the_share_of_the_middle_beyond_an_edge(left: float, share: float) -> None:
    assert quality.share_outside(placed(1, left), 400, 400) == pytest.approx(share, abs=0.08)
    right = placed(1, 400 - 200 - left)
    assert quality.share_outside(right, 400, 400) == pytest.approx(share, abs=0.08)
    assert quality.share_outside(placed(1, 0, left), 400, 400) == pytest.approx(share, abs=0.08)


def test_brightness_is_measured_in_the_middle() -> None:
    chip = np.full((200, 200, 3), 77, np.uint8)
    chip[:30] = 255
    assert quality.brightness(chip) == 77


@pytest.fixture(scope="module")
def portrait(astronaut):
    (face,) = Detector().detect(astronaut)
    return astronaut, face.landmarks


def test_a_good_portrait_has_no_quality_issues(portrait) -> None:
    picture, points = portrait
    chip = warp(picture, points)
    assert quality.quality_issues(chip, points, 512, 512) == ()
    assert quality.quality_issues(chip) == ()


def test_sharpness_falls_with_blur(portrait) -> None:
    chip = warp(*portrait)
    figures = [quality.sharpness(cv2.GaussianBlur(chip, (0, 0), s)) for s in (0.5, 1, 2, 4, 8)]
    assert figures == sorted(figures, reverse=True)
    assert quality.quality_issues(np.asarray(cv2.GaussianBlur(chip, (0, 0), 8), np.uint8)) == (
        Reason.BLURRED,
    )


def test_dark_faces_are_reported(portrait) -> None:
    chip = warp(*portrait)
    assert Reason.DARK in quality.quality_issues((chip * 0.05).astype(np.uint8))


def test_a_small_face_is_not_reported_as_blurred(portrait) -> None:
    picture, points = portrait
    scale = 0.7 * THRESHOLDS.size / quality.source_size(points)
    side = round(512 * scale)
    tiny = shrink(picture, side, side)
    nearer = Landmarks.from_array(points.array() * scale)
    assert quality.quality_issues(warp(tiny, nearer), nearer, side, side) == (Reason.TOO_SMALL,)


def test_a_face_beyond_the_edge_is_cut_off(portrait) -> None:
    picture, points = portrait
    edge = int(points.nose[0] + 0.1 * quality.source_size(points))
    half = np.ascontiguousarray(picture[:, edge:])
    moved = Landmarks.from_array(points.array() - (edge, 0))
    told = quality.quality_issues(warp(half, moved), moved, half.shape[1], 512)
    assert Reason.CUT_OFF in told


def test_covered_and_upside_down_faces_are_out_of_distribution(portrait) -> None:
    chip = warp(*portrait)
    masked = chip.copy()
    shape = np.array([(42, 120), (97, 104), (152, 120), (146, 172), (97, 192), (48, 172)])
    cv2.fillPoly(masked, [shape], (120, 170, 205), cv2.LINE_AA)
    for odd in (masked, chip[::-1]):
        assert quality.quality_issues(odd) == (Reason.UNLIKE,)
    dark = (masked * 0.05).astype(np.uint8)
    assert quality.quality_issues(dark) == (Reason.DARK,)  # explains enough


def test_thresholds_are_the_measured_ones() -> None:
    assert THRESHOLDS.out_of_distribution == pytest.approx(
        json.loads(OUT_OF_DISTRIBUTION.read_text("utf-8"))["limit"], abs=0.01
    )
    found = json.loads(RECORD.read_text("utf-8"))["limits"]
    for reason, limit, step in (
        ("too_small", THRESHOLDS.size, 0.1),
        ("blurred", THRESHOLDS.sharpness, 0.001),
        ("dark", THRESHOLDS.dark, 1),
        ("bright", THRESHOLDS.bright, 1),
        ("cut_off", THRESHOLDS.outside, 0.01),
    ):
        assert limit == pytest.approx(found[reason]["limit"], abs=step), reason
