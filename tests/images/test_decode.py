import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from agelens.errors import BadPicture, PictureTooLarge
from agelens.images.decode import Limits, from_array, from_pil, read

RED, GREEN = (200, 30, 40), (20, 180, 60)


def halves(mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", (48, 32), RED)
    image.paste(GREEN, (24, 0, 48, 32))
    return image.convert(mode)


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, "PNG", exif=exif.tobytes())


def sides(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    third = picture.shape[1] // 3
    return np.array([picture[:, :third].mean((0, 1)), picture[:, -third:].mean((0, 1))])


@pytest.mark.parametrize(("form", "mode", "options", "near"), [
    *((form, "RGB", {}, 0) for form in ("PNG", "BMP", "PPM", "TIFF")),
    ("JPEG", "RGB", {"quality": 95}, 4), ("JPEG", "CMYK", {"quality": 95}, 6),
    ("JPEG", "RGB", {"quality": 95, "progressive": True}, 4),
    ("WEBP", "RGB", {"lossless": True}, 0), ("PNG", "RGBA", {}, 0),
    *((form, "P", {}, 12) for form in ("GIF", "PNG")),
    *(("PNG", mode, {}, 0) for mode in ("L", "1")),
])  # fmt: skip
def test_colours_survive_every_format(form: str, mode: str, options: dict, near: float) -> None:
    picture = read(encode(halves(mode), form, **options))
    assert (picture.shape, picture.dtype) == ((32, 48, 3), np.uint8)
    expected = np.asarray(halves(mode).convert("RGB")) if mode in "L1" else halves()
    np.testing.assert_allclose(sides(picture), sides(np.asarray(expected)), atol=near)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright, turn = halves(), Image.Transpose
    undo = {  # what a camera did to the upright picture, by EXIF's own table
        2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
        6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270,
    }  # fmt: skip
    stored = upright if orientation == 1 else upright.transpose(undo[orientation])
    picture = read(turned(stored, orientation))
    np.testing.assert_array_equal(picture, np.asarray(upright))


def test_transparency_becomes_white() -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((10, 20, 30, 255), (0, 0, 4, 8))
    picture = read(encode(image, "PNG"))
    assert picture[0, [0, 7]].tolist() == [[10, 20, 30], [255, 255, 255]]
    half = read(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"))
    assert abs(int(half[0, 0, 0]) - 127) <= 1
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert (read(encode(palette, "PNG", transparency=1)) == 255).all()


def test_16_bit_and_float_greys_keep_their_brightness_and_nan_is_refused() -> None:
    deep = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    for form in ("PNG", "TIFF"):
        picture = read(encode(Image.fromarray(deep), form))
        np.testing.assert_array_equal(picture[..., 0], np.rint(deep / 257))
    shares = np.array([[0.0, 0.5], [0.25, 1.0]], np.float32)
    picture = read(encode(Image.fromarray(shares), "TIFF"))
    assert picture[..., 1].tolist() == [[0, 128], [64, 255]]
    with pytest.raises(BadPicture, match="not a number"):
        read(encode(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_give_their_first_frame(form: str) -> None:
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), GREEN)
    data = encode(first, form, save_all=True, append_images=[second])
    np.testing.assert_allclose(read(data).mean((0, 1)), RED, atol=12)


@pytest.mark.parametrize(("form", "keep"), [("JPEG", 0.5), ("PNG", 0.6), ("WEBP", 0.5)])
def test_truncated_pictures_are_one_clear_error(form: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encode(Image.fromarray(noise), form)
    with pytest.raises(BadPicture) as caught:
        read(data[: int(len(data) * keep)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"hello", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", bytes(1000), b""]
)
def test_bytes_that_are_not_pictures_are_refused(data: bytes) -> None:
    with pytest.raises(BadPicture, match=None if data else "empty"):
        read(data)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM"]))
def test_any_bytes_give_a_picture_or_our_error(tail: bytes, head: bytes) -> None:
    with suppress(BadPicture, PictureTooLarge):
        assert read(head + tail).ndim == 3


@pytest.mark.parametrize("size", [(10_001, 10_000), (60_000, 60_000)])
def test_huge_pictures_are_refused_by_their_header(size: tuple[int, int]) -> None:
    data = encode(halves(), "PNG")
    header = b"IHDR" + struct.pack(">II", *size) + data[24:29]
    bomb = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    with pytest.raises(PictureTooLarge, match=r"limit|more than"):
        read(bomb)


def test_limits_are_exact(tmp_path: Path) -> None:
    data = encode(halves(), "PNG")
    file = tmp_path / "a.png"
    file.write_bytes(data)
    exact = Limits(pixels=48 * 32, bytes=len(data))
    assert read(data, exact).shape == read(file, exact).shape == (32, 48, 3)
    with pytest.raises(PictureTooLarge, match="48 x 32"):
        read(data, Limits(pixels=48 * 32 - 1))
    for source in (data, file):
        with pytest.raises(PictureTooLarge, match="bytes"):
            read(source, Limits(bytes=len(data) - 1))


def test_missing_file_and_folder_are_errors(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.jpg", "no such file"), (tmp_path, "folder")):
        with pytest.raises(BadPicture, match=message):
            read(path)


def test_arrays_of_all_allowed_shapes() -> None:
    rgb = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    np.testing.assert_array_equal(from_array(rgb), rgb)
    assert from_array(rgb[:, ::-1]).flags.c_contiguous
    for grey in (rgb[..., 0], rgb[..., :1]):
        np.testing.assert_array_equal(from_array(grey)[..., 2], rgb[..., 0])
    assert (from_array(np.zeros((4, 5, 4), np.uint8)) == 255).all()


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4,), np.uint8), np.zeros((4, 4, 2), np.uint8),
     np.zeros((0, 4, 3), np.uint8), np.zeros((2, 4, 4, 3), np.uint8)],
)  # fmt: skip
def test_other_arrays_are_refused_with_their_shape(array: NDArray[np.generic]) -> None:
    with pytest.raises(BadPicture, match="shape"):
        from_array(array)


def test_pil_images_follow_the_same_rules() -> None:
    assert from_pil(Image.open(io.BytesIO(turned(halves(), 6)))).shape == (48, 32, 3)
    with pytest.raises(PictureTooLarge):
        from_pil(halves(), Limits(pixels=5))
