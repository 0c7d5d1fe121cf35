"""How unlike the training: outlines and what is left over of them, on drawn pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from agelens import doctor
from agelens.faces import out_of_distribution
from agelens.faces.alignment import warp
from agelens.faces.detector import Detector
from photos import photo

RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "out_of_distribution.json"


def test_outlines_tell_which_way_edges_run() -> None:
    chip = np.zeros((200, 200, 3), np.uint8)
    chip[:, 100:] = 200
    upright = out_of_distribution.hog_features(chip).reshape(-1, 9).sum(axis=0)
    lying = out_of_distribution.hog_features(chip.transpose(1, 0, 2)).reshape(-1, 9).sum(axis=0)
    assert upright.argmax() in (0, 8)  # across 0 degrees
    assert lying.argmax() == 4  # across 90 degrees
    assert not out_of_distribution.hog_features(np.full((200, 200, 3), 90, np.uint8)).any()


def test_light_changes_little_and_a_cover_much(astronaut) -> None:
    (face,) = Detector().detect(astronaut)
    chip = warp(astronaut, face.landmarks)
    plain = out_of_distribution.out_of_distribution_score(chip)
    assert out_of_distribution.out_of_distribution_score(
        (chip * 0.6).astype(np.uint8)
    ) == pytest.approx(plain, rel=0.1)
    masked = chip.copy()
    cv2.rectangle(masked, (40, 105), (155, 190), (225, 235, 240), -1)
    assert out_of_distribution.out_of_distribution_score(masked) > 2 * plain
    assert out_of_distribution.out_of_distribution_score(chip[::-1]) > 2 * plain


def test_what_is_left_over_is_never_more_than_all() -> None:
    for seed in range(5):
        chip = photo(seed)
        mean, _ = out_of_distribution._fitted()
        whole = float(((out_of_distribution.hog_features(chip) - mean) ** 2).sum())
        assert 0 <= out_of_distribution.out_of_distribution_score(chip) <= whole * 1.001


def test_the_figures_are_those_of_the_record() -> None:
    assert (
        doctor.sha256(out_of_distribution.FILE) == json.loads(RECORD.read_text("utf-8"))["sha256"]
    )
    assert out_of_distribution.FILE.stat().st_size < 150_000
