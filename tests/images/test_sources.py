"""Sources: order, laziness, and errors that name the input."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from agelens.errors import SourceError
from agelens.images.sources import Source, find


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "notes.txt", "sub/c.webp", "sub/deep/d.jpeg", ".hidden/e.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path


def names(found: list[Source], root: Path) -> list[str]:
    return [Path(source.name).relative_to(root).as_posix() for source in found]


def test_a_folder_is_searched_in_order(tree: Path) -> None:
    found = list(find([tree]))
    assert names(found, tree) == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.jpeg"]
    assert all(isinstance(source.data, Path) for source in found)


def test_a_named_file_is_taken_whatever_its_ending(tree: Path) -> None:
    assert names(list(find([tree / "notes.txt"])), tree) == ["notes.txt"]


def test_globs(tree: Path) -> None:
    assert names(list(find([f"{tree}/*.*g"])), tree) == ["a.png"]
    deep = list(find([f"{tree}/**/*.jpeg"]))
    assert names(deep, tree) == ["sub/deep/d.jpeg"]


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    file = tmp_path / "a[1].png"
    file.write_bytes(b"x")
    assert [source.name for source in find([file])] == [str(file)]


def test_each_file_once(tree: Path) -> None:
    assert names(list(find([tree / "a.png", tree, f"{tree}/*.png"])), tree)[0] == "a.png"
    assert len(list(find([tree / "a.png", tree, f"{tree}/*.png"]))) == 4


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"bytes")))
    assert list(find(["-"])) == [Source("-", b"bytes")]


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
    assert names(list(found), tree) == ["sub/c.webp", "sub/new.png", "sub/deep/d.jpeg"]


def test_clips_are_found_on_request(tmp_path: Path) -> None:
    film = b"\0\0\0\x20ftypisom" + bytes(40)
    for name, data in (
        ("a.mp4", film),
        ("b.jpg", b"x"),
        ("c.webm", b"\xff\xd8\xff"),
        ("d.txt", film),
    ):
        (tmp_path / name).write_bytes(data)
    assert names(list(find([tmp_path])), tmp_path) == ["b.jpg"]
    found = list(find([tmp_path, tmp_path / "d.txt"], clips=True))
    assert names(found, tmp_path) == ["a.mp4", "b.jpg", "c.webm", "d.txt"]
    assert [source.clip for source in found] == [True, False, False, True]
    assert not any(source.clip for source in find([tmp_path / "a.mp4"]))


def test_a_clip_on_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    film = b"\0\0\0\x20ftypisom" + bytes(600)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(film)))
    with pytest.raises(SourceError, match="standard input holds a clip"):
        list(find(["-"], clips=True))
