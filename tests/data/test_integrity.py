import hashlib
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agelens.data.integrity import MIN_SIDE, Verified, verify_picture
from agelens.errors import BadPicture, PictureError, PictureTooLarge
from labelled import drawn


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_gives_size_and_digest(kind: str) -> None:
    content = drawn(1, (40, 30), kind)
    assert verify_picture(content) == Verified(40, 30, hashlib.sha256(content).hexdigest())


def test_size_is_that_of_the_upright_picture() -> None:
    image = Image.open(io.BytesIO(drawn(1, (40, 30))))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    found = verify_picture(file.getvalue())
    assert (found.width, found.height) == (30, 40)


@pytest.mark.parametrize("content", [b"", b"GET / HTTP/1.1", b"\xff\xd8\xff\xe0"])
def test_refuses_what_is_no_picture(content: bytes) -> None:
    with pytest.raises(BadPicture):
        verify_picture(content)


@given(share=st.floats(0, 0.9), kind=st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_refuses_every_cut_picture(share: float, kind: str) -> None:
    content = drawn(3, (64, 64), kind)
    with pytest.raises(PictureError):
        verify_picture(content[: int(share * len(content))])


def test_sides_from_sixteen_pixels() -> None:
    assert verify_picture(drawn(1, (MIN_SIDE, 400))).width == MIN_SIDE
    with pytest.raises(BadPicture, match="400 x 15 pixels: expected at least 16"):
        verify_picture(drawn(1, (400, MIN_SIDE - 1)))


def test_too_many_pixels_are_seen_in_the_header() -> None:
    head = b"IHDR" + (100_000).to_bytes(4) + (100_000).to_bytes(4) + b"\x08\x02\0\0\0"
    chunk = len(head[4:]).to_bytes(4) + head + zlib.crc32(head).to_bytes(4)
    body = b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4)
    with pytest.raises(PictureTooLarge):
        verify_picture(b"\x89PNG\r\n\x1a\n" + chunk + body)
