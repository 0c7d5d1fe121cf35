"""Inputs: one picture or several, and how each type is read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.errors import BadPicture, SourceError
from agelens.images import inputs

RED = np.full((6, 4, 3), (200, 30, 10), np.uint8)


@pytest.mark.parametrize(
    "given",
    ["a.jpg", Path("a.jpg"), b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), RED, RED[..., 0],
     Image.fromarray(RED), 7],
)  # fmt: skip
def test_one_picture_is_recognised(given: object) -> None:
    assert inputs.is_one(given)


@pytest.mark.parametrize("given", [np.stack([RED, RED]), [RED], (), iter([RED])])
def test_several_pictures_are_recognised(given: object) -> None:
    assert not inputs.is_one(given)


def test_every_kind_gives_the_same_pixels(tmp_path: Path) -> None:
    file = tmp_path / "red.png"
    Image.fromarray(RED).save(file)
    data = file.read_bytes()
    for given in (RED, Image.fromarray(RED), file, str(file), data, bytearray(data),
                  memoryview(data)):  # fmt: skip
        assert (inputs.read(given) == RED).all(), type(given)


@pytest.mark.parametrize("path", ["no/such.jpg", "x" * 5000, "a\0b"])
def test_missing_files_are_named(path: str) -> None:
    with pytest.raises(SourceError, match="no such file"):
        inputs.read(path)


def test_folders_are_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder: give its files"):
        inputs.read(str(tmp_path))


@pytest.mark.parametrize("wrong", [3.5, None, object(), np.zeros((5, 5, 3)), {1: 2}.get])
def test_other_types_are_refused(wrong: object) -> None:
    with pytest.raises(BadPicture, match="expected"):
        inputs.read(wrong)


def test_chips_must_be_square_and_are_resized() -> None:
    with pytest.raises(BadPicture, match="chip of 4 x 6 pixels: expected a square"):
        inputs.as_chip(RED, 8)
    assert (inputs.as_chip(np.repeat(RED, 2, axis=1)[:, :6], 3) == RED[0, 0]).all()
