import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agelens.data.admission import admit
from agelens.data.archives import Limits
from agelens.data.import_journal import Entry, Journal
from agelens.data.readers.file_names import UtkFaceNames
from agelens.data.readers.reader import Labelled, Survey
from agelens.data.source import Member, Origin
from labelled import drawn, faces


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, Origin(Path("set"), "folder", "00" * 32))
    yield journal
    journal.close()


class Given(Origin):
    """A source that holds just these files."""

    def members(self, limits: Limits) -> Iterator[Member]:
        yield from self.given


def labelled(*members: Member) -> Iterator[Labelled]:
    origin = Given(Path("set"), "folder", "00" * 32)
    object.__setattr__(origin, "given", members)
    form = UtkFaceNames(Survey(origin, [member.name for member in members], {}, Limits()))
    return form.pictures(Limits())


def outcome(journal: Journal, *members: Member) -> list[Entry]:
    assert list(admit(labelled(*members), journal)) == list(range(1, len(members) + 1))
    return [journal.entries[number] for number in range(len(members))]


def test_takes_good_pictures_in_order(journal: Journal, tmp_path: Path) -> None:
    files = faces(150)  # more than may wait at once
    entries = outcome(journal, *(Member(f"s/{name}", data) for name, data in files.items()))
    assert [entry.file for entry in entries] == list(files)
    assert {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()} == files
    first = next(iter(files.values()))
    digest = hashlib.sha256(first).hexdigest()
    assert entries[0] == Entry(0, "s/" + next(iter(files)), next(iter(files)), 24, 24,
                               len(first), digest, gender="male", race="white")  # fmt: skip


def test_says_why_it_rejects(journal: Journal, tmp_path: Path) -> None:
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


def test_one_name_holds_one_picture(journal: Journal, tmp_path: Path) -> None:
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


def test_passes_over_what_the_journal_knows(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [Member(name, data) for name, data in faces(5).items()]
    for done in admit(labelled(*members), journal):
        if done == 3:
            break
    known = dict(journal.entries)
    assert len(known) == 3
    assert list(admit(labelled(*members), journal)) == [4, 5]
    assert {number: journal.entries[number] for number in known} == known
