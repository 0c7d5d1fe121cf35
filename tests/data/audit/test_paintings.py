"""Lines through features: what they score, and what the shipped ones say of a portrait."""

from pathlib import Path

import numpy as np

from agelens.data.audit import paintings

PORTRAIT = Path(__file__).parents[2] / "portrait_features.npz"


def test_the_furthest_along_any_line_counts() -> None:
    lines = paintings.Lines(np.ones(2, np.float32), np.array([[2, 0], [0, 3]], np.float32), 1.0)
    found = paintings.by_lines(np.array([[1, 1], [4, 1], [1, 9], [0, -5]]), lines)
    assert found.tolist() == [0, 2, 6, -2]  # of roots 1 and 1, 2 and 1, 1 and 3, 0 and 0


def test_the_shipped_lines_are_whole() -> None:
    lines = paintings.shipped()
    assert lines.weights.shape == (6, 1024)
    assert lines.mean.shape == (1024,)
    assert np.isfinite(lines.weights).all()
    assert (lines.mean >= 0).all()
    assert 2 < lines.limit < 10


def test_a_portrait_is_a_photo_and_its_drawings_are_none() -> None:
    """Features by faceres-deep of NASA's portrait, and of it as cv2 makes drawings of it.

    They were taken once, so that the backbone need not be at hand: the chip as it is, its
    `cv2.pencilSketch` and its `cv2.stylization`.
    """
    with np.load(PORTRAIT, allow_pickle=False) as kept:
        shown = np.stack([kept["photo"], kept["pencil"], kept["watercolour"]])
    photo, *pictures = paintings.score(shown)
    assert photo < paintings.shipped().limit < min(pictures)
