import tarfile
from pathlib import Path
from unittest.mock import Mock

import polars as pl
import pytest

from agelens.batch import reader, storage
from agelens.batch.ledger import Unit
from agelens.batch.listing import Kind
from agelens.batch.reader import Item, Origin, read_unit
from agelens.errors import SourceUnreachable
from batches import chip, write_chips, write_shard


def read(kind: Kind, *named: str, root: str = "/", stop: int | None = None) -> list[Item]:
    return list(read_unit(Unit(0, kind, named, 0, stop), Origin("/", root)))


def test_files_and_missing_files(tmp_path: Path) -> None:
    paths = write_chips(tmp_path / "in", 2)
    gone = str(tmp_path / "in/gone.png")
    one, missing, two = read(Kind.PICTURE, paths[0], gone, paths[1], root=str(tmp_path))
    assert (one.data, two.data) == (Path(paths[0]), Path(paths[1]))
    assert missing == Item(gone, error=f"no such file: {gone!r}")


def test_a_missing_or_empty_source_raises(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()  # as an unmounted disk leaves it
    for root in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(SourceUnreachable, match="gone or empty"):
            read(Kind.PICTURE, str(root / "a.png"), root=str(root))


def test_a_shard_gives_its_whole_pictures_by_name_and_its_damage(tmp_path: Path) -> None:
    shard = tmp_path / "s.tar"
    named = write_shard(shard, ["a/1", "a/2", *"bcdefgh"])
    found = read(Kind.SHARD, str(shard))
    assert [(item.name, item.data) for item in found] == [(n, chip(i)) for i, n in enumerate(named)]
    shard.write_bytes(shard.read_bytes()[: 4 * 4 * 512 + 512 + 40])  # in the fifth picture's label
    *whole, end = read(Kind.SHARD, str(shard))
    assert [item.name for item in whole] == named[:4]
    assert end.name == str(shard) and "damaged" in str(end.error)


@pytest.mark.parametrize("content", [b"", b"no tar at all", None, "empty"])
def test_a_shard_without_pictures_has_a_row(tmp_path: Path, content: bytes | str | None) -> None:
    (tmp_path / "other").write_bytes(b"")
    if content == "empty":
        with tarfile.open(tmp_path / "s.tar", "w") as archive:
            archive.addfile(tarfile.TarInfo("a.cls"))
    elif content is not None:
        (tmp_path / "s.tar").write_bytes(content)
    (item,) = read(Kind.SHARD, str(tmp_path / "s.tar"), root=str(tmp_path))
    assert item.data is None and "s.tar" in str(item.error)
    assert ("no picture" in str(item.error)) == (content == "empty")


def test_rows_of_tables(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(reader, "_ROWS", 3)
    file = tmp_path / "t.parquet"
    pl.DataFrame({"jpg": [chip(n) for n in range(8)], "key": list("abcdefgh")}).write_parquet(file)
    found = list(read_unit(Unit(0, Kind.TABLE, (str(file),), 2, 7), Origin("/", "/")))
    assert [item.name for item in found] == [
        f"{file}/row {n}/{k}" for n, k in zip(range(2, 7), "cdefg", strict=True)
    ]
    assert [item.data for item in found] == [chip(n) for n in range(2, 7)]
    hugging = [{"bytes": chip(1), "path": "x.png"}, {"bytes": None, "path": None}]
    pl.DataFrame({"image": hugging}).write_parquet(file)
    found = read(Kind.TABLE, str(file), stop=2)
    assert [(item.name, item.data) for item in found] == [
        (f"{file}/row 0/x.png", chip(1)), (f"{file}/row 1", b"")
    ]  # fmt: skip


def test_remote_files_are_fetched_in_order() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for number in range(30):
        memory.pipe_file(f"/far/{number}.png", chip(number) if number != 7 else b"")
    named = [f"memory://far/{number}.png" for number in range(31)]
    found = read(Kind.PICTURE, *named, root="memory://far")
    assert [item.name for item in found] == named
    assert [item.data for item in found[:7]] == [chip(n) for n in range(7)]
    assert found[7].data == b"" and "30.png" in str(found[30].error)
    memory.pipe_file("/far/s.tar", b"none")
    (item,) = read(Kind.SHARD, "memory://far/s.tar", root="memory://far")
    assert "not an archive" in str(item.error)


def test_only_a_store_that_does_not_respond_is_retried(monkeypatch) -> None:
    monkeypatch.setattr(storage, "RETRY_SECONDS", (0,) * 4)
    responding = Mock(side_effect=[OSError("503"), TimeoutError("slow"), 7])
    assert storage.retry(responding, "read it") == 7
    for failure, error, says, calls in (
        (FileNotFoundError("no key"), FileNotFoundError, "no key", 1),
        (OSError("503 Slow Down"), SourceUnreachable, "read it after 5 tries: 503 Slow Down", 5),
    ):
        failing = Mock(side_effect=failure)
        with pytest.raises(error, match=says):
            storage.retry(failing, "read it")
        assert failing.call_count == calls
