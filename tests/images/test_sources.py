import io
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from agelens.errors import BadPicture, SourceError
from agelens.images import sources
from agelens.images.sources import Source, find
from labelled import write_folder

RED = np.full((6, 4, 3), (200, 30, 10), np.uint8)
CLIP = b"\0\0\0\x20ftypisom" + bytes(600)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = ("b.JPG", "a.png", "notes.txt", "sub/c.webp", "sub/deep/d.jpeg", ".hidden/e.png")
    return write_folder(tmp_path, dict.fromkeys(files, b"x"))


def names(found: Iterable[Source], root: Path) -> list[str]:
    return [Path(source.name).relative_to(root).as_posix() for source in found]


def test_a_folder_is_searched_in_order_and_each_file_found_once(tree: Path) -> None:
    found = list(find([tree]))
    assert names(found, tree) == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.jpeg"]
    assert all(isinstance(source.data, Path) for source in found)
    once = names(find([tree / "a.png", tree, f"{tree}/*.png"]), tree)
    assert (once[0], len(once)) == ("a.png", 4)


@pytest.mark.parametrize(
    ("given", "found"),
    [("*.*g", "a.png"), ("**/*.jpeg", "sub/deep/d.jpeg"), ("notes.txt", "notes.txt"),
     ("a[1].png", "a[1].png")],
)  # fmt: skip
def test_globs_and_named_files_of_any_ending(tree: Path, given: str, found: str) -> None:
    if "[" in given:
        (tree / given).write_bytes(b"x")
    assert names(find([f"{tree}/{given}"]), tree) == [found]


def test_standard_input(monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"bytes")))
    assert list(find(["-"])) == [Source("-", b"bytes")]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(CLIP)))
    with pytest.raises(SourceError, match="standard input holds a clip"):
        list(find(["-"], clips=True))


@pytest.mark.parametrize("missing", ["none.jpg", "no/such/*.png", "x" * 5000, "a\0b"])
def test_missing_inputs_are_named_at_once(missing: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such file|nothing matches"):
        find([tmp_path / "..", missing])


def test_nothing_given_and_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no input"):
        find([])
    with pytest.raises(SourceError, match="no pictures in"):
        list(find([tmp_path]))


def test_folders_are_read_only_when_asked_for(tree: Path) -> None:
    found = find([tree / "a.png", tree / "sub"])
    assert next(found).name.endswith("a.png")
    (tree / "sub" / "new.png").write_bytes(b"x")
    assert names(found, tree) == ["sub/c.webp", "sub/new.png", "sub/deep/d.jpeg"]


def test_clips_are_found_on_request(tmp_path: Path) -> None:
    files = {"a.mp4": CLIP, "b.jpg": b"x", "c.webm": b"\xff\xd8\xff", "d.txt": CLIP}
    write_folder(tmp_path, files)
    assert names(find([tmp_path]), tmp_path) == ["b.jpg"]
    found = list(find([tmp_path, tmp_path / "d.txt"], clips=True))
    assert names(found, tmp_path) == ["a.mp4", "b.jpg", "c.webm", "d.txt"]
    assert [source.clip for source in found] == [True, False, False, True]
    assert not any(source.clip for source in find([tmp_path / "a.mp4"]))


def test_one_picture_and_several_are_told_apart() -> None:
    encoded = [kind(b"bytes") for kind in (bytes, bytearray, memoryview)]
    for one in ("a.jpg", Path("a.jpg"), *encoded, RED, RED[..., 0], Image.fromarray(RED), 7):
        assert sources.is_one(one), type(one)
    for several in (np.stack([RED, RED]), [RED], (), iter([RED])):
        assert not sources.is_one(several), type(several)


def test_every_kind_gives_the_same_pixels(tmp_path: Path) -> None:
    file = tmp_path / "red.png"
    Image.fromarray(RED).save(file)
    encoded = [kind(file.read_bytes()) for kind in (bytes, bytearray, memoryview)]
    for given in (RED, Image.fromarray(RED), file, str(file), *encoded):
        assert (sources.read(given) == RED).all(), type(given)


@pytest.mark.parametrize("path", ["no/such.jpg", "x" * 5000, "a\0b"])
def test_missing_files_and_folders_are_named(path: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        sources.read(path)
    with pytest.raises(SourceError, match="is a folder: give its files"):
        sources.read(str(tmp_path))


@pytest.mark.parametrize("wrong", [3.5, None, object(), np.zeros((5, 5, 3)), {1: 2}.get])
def test_other_types_are_refused(wrong: object) -> None:
    with pytest.raises(BadPicture, match="expected"):
        sources.read(wrong)


def test_chips_must_be_square_and_are_resized() -> None:
    with pytest.raises(BadPicture, match="chip of 4 x 6 pixels: expected a square"):
        sources.as_chip(RED, 8)
    assert (sources.as_chip(np.repeat(RED, 2, axis=1)[:, :6], 3) == RED[0, 0]).all()
