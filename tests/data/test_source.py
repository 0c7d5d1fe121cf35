from pathlib import Path

import pytest

from agelens.data.archives import Limits
from agelens.data.source import Member, Source
from agelens.errors import DatasetError, SourceError
from labelled import write_any, write_folder

FILES = {"set/b.jpg": b"b", "set/a.jpg": b"a", "set/notes.txt": b"n"}
HIDDEN = {".DS_Store": b"x", "set/.thumbs/a.jpg": b"x", "__MACOSX/set/._a.jpg": b"x"}


@pytest.mark.parametrize("file", ["s", "s.zip", "s.tar", "s.tar.gz"])
def test_visible_files_only(tmp_path: Path, file: str) -> None:
    source = Source.open(write_any(tmp_path / file, FILES | HIDDEN))
    members = list(source.members(Limits()))
    assert {m.name: m.content for m in members if not m.problem} | {"set/notes.txt": b"n"} == FILES
    assert sorted(m.name for m in members) == sorted(FILES)
    assert sorted(name for name, _ in source.survey(Limits())) == sorted(FILES)


def test_a_folder_is_read_in_order_and_only_its_pictures(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "s", FILES | {"huge.jpg": b"x" * 101})
    (folder / "broken.jpg").symlink_to("nowhere")
    assert list(Source.open(folder).members(Limits(member_bytes=100))) == [
        Member("broken.jpg", b"", "not a plain file, or a broken link"),
        Member("huge.jpg", b"", "101 bytes: over the limit of 100"),
        Member("set/a.jpg", b"a"),
        Member("set/b.jpg", b"b"),
        Member("set/notes.txt", b"", "not read"),
    ]


@pytest.mark.parametrize("file", ["s", "s.zip"])
def test_identity_follows_content_not_place(tmp_path: Path, file: str) -> None:
    path = write_any(tmp_path / file, FILES)
    source = Source.open(path)
    moved = path.rename(tmp_path / f"moved-{file}")
    assert Source.open(moved).sha256 == source.sha256
    more = write_any(tmp_path / f"more-{file}", FILES | {"c.jpg": b"c"})
    assert Source.open(more).sha256 != source.sha256


def test_refuses_what_is_missing_or_of_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such file or folder: .*none.zip"):
        Source.open(tmp_path / "none.zip")
    (tmp_path / "one.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(DatasetError, match=r"one.jpg' is neither a folder nor an archive"):
        Source.open(tmp_path / "one.jpg")
