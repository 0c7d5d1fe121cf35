"""The out-of-distribution score: its features and its reconstruction error, on drawn pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from agelens import doctor
from agelens.faces.alignment import warp
from agelens.faces.detector import Detector
from agelens.faces.out_of_distribution import (
    FILE,
    MIDDLE,
    _fitted,
    hog_features,
    out_of_distribution_score,
)
from photos import photo

RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "out_of_distribution.json"


def test_features_show_the_orientation_of_edges() -> None:
    chip = np.zeros((200, 200, 3), np.uint8)
    chip[:, 100:] = 200
    upright = hog_features(chip).reshape(-1, 9).sum(axis=0)
    lying = hog_features(chip.transpose(1, 0, 2)).reshape(-1, 9).sum(axis=0)
    assert upright.argmax() in (0, 8)  # across 0 degrees
    assert lying.argmax() == 4  # across 90 degrees
    assert not hog_features(np.full((200, 200, 3), 90, np.uint8)).any()


@pytest.mark.skipif(not hasattr(cv2, "HOGDescriptor"), reason="OpenCV 5 has none")
@pytest.mark.parametrize("seed", range(3))
def test_features_are_those_of_opencvs_descriptor(seed: int) -> None:
    grey = cv2.cvtColor(photo(seed)[MIDDLE, MIDDLE], cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA)
    descriptor = cv2.HOGDescriptor((64, 64), (16, 16), (16, 16), (8, 8), 9)
    np.testing.assert_allclose(
        hog_features(photo(seed)), descriptor.compute(small).ravel(), atol=1e-6
    )


def test_light_changes_the_score_little_and_a_cover_much(astronaut) -> None:
    (face,) = Detector().detect(astronaut)
    chip = warp(astronaut, face.landmarks)
    plain = out_of_distribution_score(chip)
    darker = out_of_distribution_score((chip * 0.6).astype(np.uint8))
    assert darker == pytest.approx(plain, rel=0.1)
    masked = chip.copy()
    cv2.rectangle(masked, (40, 105), (155, 190), (225, 235, 240), -1)
    assert out_of_distribution_score(masked) > 2 * plain
    assert out_of_distribution_score(chip[::-1]) > 2 * plain


@pytest.mark.parametrize("seed", range(5))
def test_the_error_is_at_most_the_distance_from_the_mean(seed: int) -> None:
    whole = float(((hog_features(photo(seed)) - _fitted()[0]) ** 2).sum())
    assert 0 <= out_of_distribution_score(photo(seed)) <= whole * 1.001


def test_the_file_is_the_one_on_record() -> None:
    assert doctor.sha256(FILE) == json.loads(RECORD.read_text("utf-8"))["sha256"]
    assert FILE.stat().st_size < 150_000
