import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens import provenance
from agelens.faces import quality
from agelens.faces.alignment import TEMPLATE, warp
from agelens.faces.detector import Detector
from agelens.faces.quality import THRESHOLDS, hog_features, out_of_distribution_score
from agelens.images.resample import shrink
from agelens.results import Landmarks, Reason
from photos import photo

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def placed(scale: float = 1, left: float = 0, top: float = 0, turn: float = 0) -> Landmarks:
    c, s = math.cos(math.radians(turn)) * scale, math.sin(math.radians(turn)) * scale
    return Landmarks.from_array(TEMPLATE @ np.array([[c, s], [-s, c]]) + (left, top))


@settings(deadline=None)
@given(st.floats(0.05, 20), st.floats(-500, 500), st.floats(0, 360))
def test_source_size_does_not_depend_on_rotation(scale: float, left: float, turn: float) -> None:
    size = quality.source_size(placed(scale, left, -left, turn))
    assert size == pytest.approx(200 * scale, rel=1e-6)


@pytest.mark.parametrize(("left", "share"), [(0, 0.0), (-40, 0.0), (-100, 0.5), (-160, 1.0)])
def test_share_outside_is_the_share_of_the_middle_beyond_an_edge(left: float, share: float) -> None:
    for landmarks in (placed(1, left), placed(1, 400 - 200 - left), placed(1, 0, left)):
        assert quality.share_outside(landmarks, 400, 400) == pytest.approx(share, abs=0.08)


def test_brightness_is_measured_in_the_middle() -> None:
    chip = np.full((200, 200, 3), 77, np.uint8)
    chip[:30] = 255
    assert quality.brightness(chip) == 77


@pytest.fixture(scope="module")
def points(astronaut):
    return Detector().detect(astronaut)[0].landmarks


@pytest.fixture(scope="module")
def chip(astronaut, points):
    return warp(astronaut, points)


def test_a_good_portrait_has_no_quality_issues(points, chip) -> None:
    assert quality.quality_issues(chip, points, 512, 512) == quality.quality_issues(chip) == ()


def test_sharpness_falls_with_blur(chip) -> None:
    blurred = [np.asarray(cv2.GaussianBlur(chip, (0, 0), s)) for s in (0.5, 1, 2, 4, 8)]
    figures = [quality.sharpness(one) for one in blurred]
    assert figures == sorted(figures, reverse=True)
    assert quality.quality_issues(blurred[-1]) == (Reason.BLURRED,)


def test_a_small_face_is_not_reported_as_blurred(astronaut, points) -> None:
    scale = 0.7 * THRESHOLDS[Reason.TOO_SMALL] / quality.source_size(points)
    side = round(512 * scale)
    tiny = shrink(astronaut, side, side)
    nearer = Landmarks.from_array(points.array() * scale)
    assert quality.quality_issues(warp(tiny, nearer), nearer, side, side) == (Reason.TOO_SMALL,)


def test_a_face_beyond_the_edge_is_cut_off(astronaut, points) -> None:
    edge = int(points.nose[0] + 0.1 * quality.source_size(points))
    half = np.ascontiguousarray(astronaut[:, edge:])
    moved = Landmarks.from_array(points.array() - (edge, 0))
    assert Reason.CUT_OFF in quality.quality_issues(warp(half, moved), moved, half.shape[1], 512)


def test_covered_and_upside_down_faces_are_out_of_distribution(chip) -> None:
    plain = out_of_distribution_score(chip)
    shape = np.array([(42, 120), (97, 104), (152, 120), (146, 172), (97, 192), (48, 172)])
    masked = cv2.fillPoly(chip.copy(), [shape], (120, 170, 205), cv2.LINE_AA)
    for odd in (masked, chip[::-1]):
        assert out_of_distribution_score(odd) > 2 * plain
        assert quality.quality_issues(odd) == (Reason.UNLIKE,)
    assert quality.quality_issues((masked * 0.05).astype(np.uint8)) == (Reason.DARK,)  # explains it
    darker = out_of_distribution_score((chip * 0.6).astype(np.uint8))
    assert darker == pytest.approx(plain, rel=0.1)


def test_features_show_the_orientation_of_edges() -> None:
    edge = np.zeros((200, 200, 3), np.uint8)
    edge[:, 100:] = 200
    upright, lying = (
        hog_features(one).reshape(-1, 9).sum(axis=0) for one in (edge, edge.transpose(1, 0, 2))
    )
    assert upright.argmax() in (0, 8)  # across 0 degrees
    assert lying.argmax() == 4  # across 90 degrees
    assert not hog_features(np.full((200, 200, 3), 90, np.uint8)).any()


@pytest.mark.skipif(not hasattr(cv2, "HOGDescriptor"), reason="OpenCV 5 has none")
@pytest.mark.parametrize("seed", range(3))
def test_features_are_those_of_opencvs_descriptor(seed: int) -> None:
    grey = cv2.cvtColor(photo(seed)[quality.MIDDLE, quality.MIDDLE], cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA)
    expected = cv2.HOGDescriptor((64, 64), (16, 16), (16, 16), (8, 8), 9).compute(small).ravel()
    np.testing.assert_allclose(hog_features(photo(seed)), expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_score_is_at_most_the_distance_from_the_mean(seed: int) -> None:
    with np.load(quality.FITTED) as fitted:
        whole = float(((hog_features(photo(seed)) - fitted["mean"]) ** 2).sum())
    assert 0 <= out_of_distribution_score(photo(seed)) <= whole * 1.001


def test_thresholds_and_the_fitted_file_are_those_on_record() -> None:
    record = json.loads((RESULTS / "out_of_distribution.json").read_text("utf-8"))
    assert THRESHOLDS[Reason.UNLIKE] == pytest.approx(record["limit"], abs=0.01)
    assert provenance.sha256(quality.FITTED) == record["sha256"]
    assert quality.FITTED.stat().st_size < 150_000
    limits = json.loads((RESULTS / "uncertainty.json").read_text("utf-8"))["limits"]
    steps = {"too_small": 0.1, "blurred": 0.001, "dark": 1, "bright": 1, "cut_off": 0.01}
    for reason, step in steps.items():
        measured = limits[reason]["limit"]
        assert THRESHOLDS[Reason(reason)] == pytest.approx(measured, abs=step), reason
