from pathlib import Path
from unittest.mock import Mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.batch import ledger, storage
from agelens.batch.ledger import (
    Ledger,
    Part,
    Plan,
    Unit,
    make_plan,
    open_run,
    part_name,
    read_part,
)  # fmt: skip
from agelens.batch.listing import Entry, Kind
from agelens.batch.storage import Store
from agelens.batch.worker import Rows
from agelens.errors import BatchError, SourceError


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "out") if request.param == "folder" else f"memory:/{tmp_path}/out"


def part(unit: int, number: int = 0, last: bool = True) -> Part:
    return Part(unit, number, last, pictures=3, faces=2, errors=1, rows=3, seconds={"detect": 0.5})


def commit(place: str, what: Part) -> int:
    rows = Rows("f" * 64)
    for name in "abc":
        rows.add_error(name, "no such file")
    data = rows.parquet(what)
    Store(place).write(part_name(what.unit, what.slice), data)
    return len(data)


def units_of(plan: Plan) -> list[Unit]:
    return [plan.unit(number) for number in range(plan.totals.units)]


def test_a_store_writes_whole_files_and_lists_them(place: str) -> None:
    store = Store(place)
    assert store.sizes("parts") == {}
    store.write("parts/a", b"123456")
    store.write("parts/a", b"1234567")
    assert store.sizes("parts") == {"a": 7}
    assert (store.read("parts/a"), storage.tail(store.path("parts/a"), 3)) == (b"1234567", b"567")
    with pytest.raises(FileNotFoundError):
        store.read("parts/b")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch) -> None:
    store = Store(str(tmp_path))
    store.write("parts/a", b"old")
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(BatchError, match="No space left"):
        store.write("parts/a", b"new")
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["a"]
    assert store.read("parts/a") == b"old"


def test_a_second_run_in_the_same_folder_and_a_file_as_output_are_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.exclusive(), pytest.raises(BatchError, match="another run"), store.exclusive():
        pass
    store.write("parts/.a.17.aside", b"half")
    with store.exclusive():
        assert list((tmp_path / "parts").iterdir()) == []
    (tmp_path / "out").write_text("")
    blocked = Store(str(tmp_path / "out"))
    with pytest.raises(SourceError, match="--output"), blocked.exclusive():
        pass


@pytest.mark.parametrize(("chunk", "files"), [(50_000, 1), (600, 5)])
def test_a_plan_gives_each_entry_once_in_units(place, chunk: int, files: int, monkeypatch) -> None:
    monkeypatch.setattr(ledger, "CHUNK", chunk)
    pictures = [Entry(Kind.PICTURE, f"{n:05}.jpg") for n in range(2500)]
    shards = [Entry(Kind.SHARD, "a.tar"), Entry(Kind.TABLE, "t.parquet", 0, 70)]
    listed = [*pictures[:100], *shards, *pictures[100:]]
    store = Store(place)
    made = make_plan(store, iter(listed), lambda count: None)
    assert Plan(store).totals == made.totals
    assert (made.totals.pictures, made.totals.shards, len(store.sizes("plan"))) == (2570, 1, files)
    units = units_of(made)
    assert [place for unit in units for place in unit.places] == [e.place for e in listed]
    assert [u.number for u in units] == list(range(len(units)))
    table = next(u for u in units if u.kind is Kind.TABLE)
    assert (table.start, table.stop) == (0, 70)
    assert max(len(unit.places) for unit in units) <= ledger.MAX_PICTURES


@settings(deadline=None)
@given(kinds=st.lists(st.sampled_from([Kind.PICTURE, Kind.PICTURE, Kind.SHARD]), min_size=1))
def test_units_never_mix_kinds(kinds: list[Kind]) -> None:
    entries = [Entry(kind, str(number)) for number, kind in enumerate(kinds)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "MIN_PICTURES", 3)
        units = units_of(make_plan(Store("memory://units"), entries, lambda count: None))
    assert [place for unit in units for place in unit.places] == [e.place for e in entries]
    for unit in units:
        assert {kinds[int(place)] for place in unit.places} == {unit.kind}
        assert len(unit.places) <= (3 if unit.kind is Kind.PICTURE else 1)


def test_the_ledger_finds_committed_parts(place: str) -> None:
    for done in (part(0), part(2, 0, last=False), part(2, 1, last=False), part(4, 1)):
        commit(place, done)
    ledger = Ledger(Store(place))
    assert list(ledger.pending(6)) == [(1, 0), (2, 2), (3, 0), (4, 0), (5, 0)]
    assert [p.faces for p in ledger.parts()] == [2, 2, 2, 2]
    assert ledger.parts()[0] == part(0)


def test_the_manifest_saves_reading_footers(place: str, monkeypatch) -> None:
    store = Store(place)
    ledger = Ledger(store)
    for done in (part(0), part(1)):
        ledger.add(done, commit(place, done))
    ledger.write_manifest(whole=False)
    commit(place, part(2))
    read = Mock(wraps=read_part)
    monkeypatch.setattr("agelens.batch.ledger.read_part", read)
    assert [p.unit for p in Ledger(store).parts()] == [0, 1, 2]
    read.assert_called_once_with(store, 2, 0)
    store.write("manifest.json", b"{}")
    assert [p.unit for p in Ledger(store).parts()] == [0, 1, 2]


def test_a_damaged_part_is_made_again(tmp_path: Path) -> None:
    commit(str(tmp_path), part(0))
    commit(str(tmp_path), part(1))
    file = tmp_path / part_name(1, 0)
    file.write_bytes(file.read_bytes()[:-9])
    (tmp_path / "parts/part-0000002-000000.parquet").write_bytes(b"")
    (tmp_path / "parts/strange.parquet").write_bytes(b"")
    assert list(Ledger(Store(str(tmp_path))).pending(3)) == [(1, 0), (2, 0)]


def test_another_run_and_other_files_in_the_same_place_are_refused(place: str) -> None:
    store = Store(place)
    about = {"source": "photos", "model": "abc", "longest": 1280}
    for base in ("/a", "/b"):
        assert open_run(store, about, {"source": "photos", "base": base})["base"] == "/a"
    with pytest.raises(BatchError, match="another longest: 1280 there, 640"):
        open_run(store, about | {"longest": 640}, {})
    other = Store(f"{place}-other")
    other.write("photo.jpg", b"")
    with pytest.raises(BatchError, match=r"photo\.jpg"):
        open_run(other, {}, {})


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_hostile_bytes_as_parquet_raise_value_errors(tmp_path_factory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "hostile.parquet"
    for content in (data, data + b"PAR1", b"PAR1" + data + b"\x10\0\0\0PAR1"):
        file.write_bytes(content)
        for read in (pl.read_parquet_metadata, pl.read_parquet_schema):
            with pytest.raises(ValueError):
                storage.read_footer(str(file), read)


def test_a_long_footer_is_read_by_its_length(tmp_path: Path) -> None:
    file = tmp_path / "long.parquet"
    pl.DataFrame({"a": [1, 2]}).write_parquet(file, metadata={"long": "x" * 300_000})
    assert len(storage.read_footer(str(file), pl.read_parquet_metadata)["long"]) == 300_000
