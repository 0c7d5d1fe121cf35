import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agelens.data.archives import Limits
from agelens.data.ingest import MIN_SIDE, Entry, Verified, ingest, open_journal, verify_picture
from agelens.data.journal import Journal
from agelens.data.readers.reader import Labelled, Survey
from agelens.data.readers.utkface_names import UtkFaceNames
from agelens.data.source import Member, Source
from agelens.errors import BadPicture, PictureError, PictureTooLarge
from labelled import drawn, faces


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = open_journal(tmp_path, Source(Path("set"), "folder", "00" * 32))
    yield journal
    journal.close()


class Given(Source):
    """A source that holds just these files."""

    def members(self, limits: Limits) -> Iterator[Member]:
        yield from self.given


def labelled(*members: Member) -> Iterator[Labelled]:
    origin = Given(Path("set"), "folder", "00" * 32)
    object.__setattr__(origin, "given", members)
    reader = UtkFaceNames(Survey(origin, [member.name for member in members], {}, Limits()))
    return reader.pictures(Limits())


def outcome(journal: Journal, *members: Member) -> list[Entry]:
    assert list(ingest(labelled(*members), journal)) == list(range(1, len(members) + 1))
    return [journal.entries[number] for number in range(len(members))]


def test_good_pictures_are_stored_in_order(journal: Journal, tmp_path: Path) -> None:
    files = faces(150)  # more than may wait at once
    entries = outcome(journal, *(Member(f"s/{name}", data) for name, data in files.items()))
    assert [entry.file for entry in entries] == list(files)
    assert {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()} == files
    first = next(iter(files.values()))
    digest = hashlib.sha256(first).hexdigest()
    assert entries[0] == Entry(0, "s/" + next(iter(files)), next(iter(files)), 24, 24,
                               len(first), digest, gender="male", race="white")  # fmt: skip


def test_rejects_have_a_reason(journal: Journal, tmp_path: Path) -> None:
    good = drawn(1)
    reasons = [
        entry.reason or ""
        for entry in outcome(
            journal,
            Member("readme.txt", b"text"),
            Member("39_1_2017.jpg", good),
            Member("20_1_0_cut.jpg", good[: len(good) // 2]),
            Member("20_1_0_link.jpg", b"", "a broken link"),
            Member("20_1_0_tiny.jpg", drawn(1, (8, 8))),
        )
    ]
    for reason, words in zip(
        reasons,
        ["not a picture by its name", "no age and gender", "cut off", "a broken link", "8 x 8"],
        strict=True,
    ):
        assert words in reason
    assert not any((tmp_path / "images").iterdir())


def test_each_name_is_stored_once(journal: Journal, tmp_path: Path) -> None:
    good, other = drawn(1), drawn(2)
    entries = outcome(
        journal,
        Member("a/20_1_0_t.jpg", good[:100]),  # broken, so it does not take the name
        Member("b/20_1_0_t.jpg", good),
        Member("b/20_1_0_t.jpg", good),  # a tar may hold one path twice
        Member("c/20_1_0_t.jpg", other),
        Member("c/20_1_0_T.JPG", good),  # the same file on some systems
    )
    assert [entry.file for entry in entries] == [None, "20_1_0_t.jpg", None, None, None]
    assert [entry.copy_of for entry in entries] == [None, None, "b/20_1_0_t.jpg", None, None]
    assert entries[3].reason == entries[4].reason == "its name is taken by 'b/20_1_0_t.jpg'"
    assert (tmp_path / "images" / "20_1_0_t.jpg").read_bytes() == good


def test_files_in_the_journal_are_skipped(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [Member(name, data) for name, data in faces(5).items()]
    for done in ingest(labelled(*members), journal):
        if done == 3:
            break
    known = dict(journal.entries)
    assert len(known) == 3
    assert list(ingest(labelled(*members), journal)) == [4, 5]
    assert {number: journal.entries[number] for number in known} == known


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_verify_returns_size_and_digest(kind: str) -> None:
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
def test_other_files_are_bad_pictures(content: bytes) -> None:
    with pytest.raises(BadPicture):
        verify_picture(content)


@given(share=st.floats(0, 0.9), kind=st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_cut_off_pictures_are_bad_pictures(share: float, kind: str) -> None:
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
