"""What counts as one picture, and how each kind is read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.errors import BadPicture, SourceError
from agelens.images import inputs

RED = np.full((6, 4, 3), (200, 30, 10), np.uint8)


@pytest.mark.parametrize(
    ("given", "one"),
    [
        ("a.jpg", True),
        (Path("a.jpg"), True),
        (b"bytes", True),
        (bytearray(b"bytes"), True),
        (memoryview(b"bytes"), True),
        (RED, True),
        (RED[..., 0], True),
        (Image.fromarray(RED), True),
        (7, True),  # told as a wrong input, not as a list
        (np.stack([RED, RED]), False),
        ([RED], False),
        ((), False),
        (iter([RED]), False),
    ],
)
def test_one_picture_is_told_from_several(given: object, one: bool) -> None:
    assert inputs.is_one(given) is one


def test_every_kind_gives_the_same_pixels(tmp_path: Path) -> None:
    file = tmp_path / "red.png"
    Image.fromarray(RED).save(file)
    data = file.read_bytes()
    for given in (RED, Image.fromarray(RED), file, str(file), data, bytearray(data)):
        assert (inputs.read(given) == RED).all(), type(given)


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such file: '.*none\.jpg'"):
        inputs.read(tmp_path / "none.jpg")
    with pytest.raises(SourceError, match="is a folder"):
        inputs.read(str(tmp_path))
    with pytest.raises(BadPicture, match="of type float: expected a path"):
        inputs.read(3.5)


def test_chips_are_square_and_brought_to_size() -> None:
    with pytest.raises(BadPicture, match="chip of 4 x 6 pixels: expected a square"):
        inputs.as_chip(RED, 8)
    assert (inputs.as_chip(np.repeat(RED, 2, axis=1)[:, :6], 3) == RED[0, 0]).all()
