"""Lines through features: what they score, and what the shipped ones say of a portrait."""

import cv2
import numpy as np
import pytest
import torch

from agelens.align import warp
from agelens.data.audit import painted
from agelens.detect import Detector
from agelens.errors import TrainingError
from agelens.training import features, pretrained
from agelens.training.config import ModelConfig


def test_the_furthest_along_any_line_counts() -> None:
    lines = painted.Lines(np.ones(2, np.float32), np.array([[2, 0], [0, 3]], np.float32), 1.0)
    found = painted.by_lines(np.array([[1, 1], [4, 1], [1, 9], [0, -5]]), lines)
    assert found.tolist() == [0, 2, 6, -2]  # of roots 1 and 1, 2 and 1, 1 and 3, 0 and 0


def test_the_shipped_lines_are_whole() -> None:
    lines = painted.shipped()
    assert lines.weights.shape == (6, 1024)
    assert lines.mean.shape == (1024,)
    assert np.isfinite(lines.weights).all()
    assert (lines.mean >= 0).all()
    assert 2 < lines.limit < 10


def test_a_portrait_is_a_photo_and_its_drawings_are_none(astronaut) -> None:
    try:
        pretrained.locate(painted.BACKBONE)
    except TrainingError as missing:
        pytest.skip(str(missing))
    (face,) = Detector().detect(astronaut)
    chip = warp(astronaut, face.landmarks)
    drawn = cv2.pencilSketch(chip, sigma_s=40, sigma_r=0.08, shade_factor=0.04)[1]
    watercolour = cv2.stylization(chip, sigma_s=40, sigma_r=0.4)
    net = pretrained.build(ModelConfig(backbone=painted.BACKBONE)).eval()
    view = features.VIEWS[painted.BACKBONE]
    shown = features.show(np.stack([chip, drawn, watercolour]), view)
    with torch.inference_mode():
        maps = net(torch.from_numpy(shown).permute(0, 3, 1, 2).float())
    photo, *pictures = painted.score(maps.mean((2, 3)).numpy())
    assert photo < painted.shipped().limit < min(pictures)
