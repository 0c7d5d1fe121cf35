from contextlib import closing
from pathlib import Path

import pytest

from agelens.data.importer import Entry
from agelens.data.storage import Journal, write_atomic

TAKEN = Entry(0, "s/1_0_0_a.jpg", "1_0_0_a.jpg", 24, 24, 3, "cd" * 32)
REJECTED = Entry(1, "s/bad\udcff.jpg", reason="no age")
COPY = Entry(2, "t/1_0_0_a.jpg", copy_of="s/1_0_0_a.jpg")


def open_journal(dest: Path) -> Journal[Entry]:
    return Journal(dest / ".import", dest / "images", Entry, {"name": "s"}, found.append)


found: list[object] = []  # the sources of resumed journals


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    with closing(open_journal(tmp_path)) as journal:
        journal.add(TAKEN, {"1_0_0_a.jpg": b"abc"})
        journal.add(REJECTED)
        journal.add(COPY)
    return tmp_path


def reopened(dest: Path) -> list[Entry]:
    journal = open_journal(dest)
    journal.close()
    return list(journal.entries.values())


def test_reopening_restores_all_entries_in_order_and_checks_the_source(dest: Path) -> None:
    assert reopened(dest) == [TAKEN, REJECTED, COPY]
    assert (dest / "images" / "1_0_0_a.jpg").read_bytes() == b"abc"
    assert [path.name for path in (dest / "images").iterdir()] == ["1_0_0_a.jpg"]
    open_journal(dest).remove()
    assert found[-1] == {"name": "s"}
    assert [path.name for path in dest.iterdir()] == ["images"]  # the pictures stay


@pytest.mark.parametrize("tail", [b'{"number": 3, "na', b"\xff\xfe\n", b"[]\n", b'{"number": 3}\n'])
def test_a_broken_line_is_ignored(dest: Path, tail: bytes) -> None:
    with (dest / ".import" / "journal.jsonl").open("ab") as file:
        file.write(tail)
    journal = open_journal(dest)
    later = Entry(3, "z.txt", reason="later")
    journal.add(later)
    journal.close()
    assert reopened(dest) == [TAKEN, REJECTED, COPY, later]


@pytest.mark.parametrize("content", [None, b"ab"])
def test_an_entry_without_its_picture_is_dropped(dest: Path, content: bytes | None) -> None:
    picture = dest / "images" / "1_0_0_a.jpg"
    picture.unlink() if content is None else picture.write_bytes(content)
    assert reopened(dest) == [REJECTED, COPY]


def test_write_atomic_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for value in (b"1", b"2"):
        write_atomic(path, value)
        assert path.read_bytes() == value
    assert list(tmp_path.iterdir()) == [path]
