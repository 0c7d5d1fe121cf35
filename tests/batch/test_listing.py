import io
from pathlib import Path

import polars as pl
import pytest

from agelens.batch import listing
from agelens.batch.listing import Kind, entries
from agelens.errors import SourceError
from batches import chip, write_chips, write_shard


def places(source: object, base: object = "/") -> list[str]:
    return [entry.place for entry in entries(str(source), str(base))]


def test_a_folder_is_searched_without_hidden_and_other_files(tmp_path: Path) -> None:
    paths = write_chips(tmp_path / "in", 7)
    for name in ("in/.hidden.png", "in/.git/a.png", "in/notes.txt", "in/answers.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert places(tmp_path / "in") == paths
    assert places(f"file://{tmp_path}/in") == paths


def test_relative_paths_stay_relative(tmp_path: Path) -> None:
    write_chips(tmp_path / "in", 2)
    assert places("in", tmp_path) == ["in/0/0000.png", "in/1/0001.png"]
    assert places("in/*/*1.png", tmp_path) == ["in/1/0001.png"]


def test_a_text_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "list.txt"
    lines = "a.jpg", "", "sub/b.jpg", "a.jpg", "/c.jpg", "file:///b%20c.jpg", "s3://bucket/d.jpg"
    manifest.write_text("\n".join(["# photos", *lines, "x.tar", ""]))
    found = list(entries(str(manifest), "/"))
    names = ("a.jpg", "sub/b.jpg", "/c.jpg", "/b c.jpg", "s3://bucket/d.jpg", "x.tar")
    assert [e.place for e in found] == [n if ":" in n else str(tmp_path / n) for n in names]
    assert [entry.kind for entry in found] == [Kind.PICTURE] * 5 + [Kind.SHARD]


def test_csv_manifests(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text('id,Path\n1,"a,1.jpg",x\n2\n3,b"2.jpg\n')
    (tmp_path / "l.tsv").write_text('id\tpath\n1\ta,1.jpg\n2\tb"2.jpg\n')
    for name in ("l.csv", "l.tsv"):
        assert places(tmp_path / name) == [str(tmp_path / "a,1.jpg"), str(tmp_path / 'b"2.jpg')]


def test_parquet_with_paths_and_with_pictures(tmp_path: Path) -> None:
    pl.DataFrame({"n": [1, 2], "file": ["a.jpg", None]}).write_parquet(tmp_path / "p.parquet")
    assert places(tmp_path / "p.parquet") == [str(tmp_path / "a.jpg")]
    pictures = [{"bytes": chip(n % 256), "path": f"{n}.png"} for n in range(listing.ROWS + 5)]
    pl.DataFrame({"image": pictures}).write_parquet(tmp_path / "t.parquet")
    found = list(entries(str(tmp_path / "t.parquet"), "/"))
    assert [(e.kind, e.start, e.stop) for e in found] == [
        (Kind.TABLE, 0, listing.ROWS), (Kind.TABLE, listing.ROWS, listing.ROWS + 5)
    ]  # fmt: skip


def test_numbered_shards_and_a_folder_of_them(tmp_path: Path) -> None:
    for number in range(8, 12):
        write_shard(tmp_path / f"s-{number:03}.tar", ["a"])
    expected = [str(tmp_path / f"s-{number}.tar") for number in ("009", "010")]
    assert places(tmp_path / "s-{009..010}.tar") == expected
    assert len(places(tmp_path)) == 4


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.txt", b"", "no pictures"), ("latin.txt", "é.jpg".encode("latin-1"), "UTF-8"),
        ("labels.csv", b"age,gender\n1,2\n", "age, gender"),
        ("cut.parquet", b"PAR1 and no more", "Parquet"),
    ],
)  # fmt: skip
def test_invalid_manifests_are_refused(tmp_path, name, content, says) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=says):
        places(tmp_path / name)


def test_missing_sources_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "none", tmp_path / "empty", tmp_path / "*.png"):
        with pytest.raises(SourceError):
            places(source)
    with pytest.raises(SourceError, match="nosuch"):
        places("nosuch://bucket/a")


@pytest.mark.parametrize(
    ("source", "root"),
    [
        ("in", "in"), ("in/*/a.png", "in"), ("in/x-{000..123}.tar", "in"), ("list.txt", "."),
        ("s3://bucket/photos", "s3://bucket/photos"), ("s3://b/photos/*.jpg", "s3://b/photos"),
        ("s3://bucket/lists/a.csv", "s3://bucket/lists"),
    ],
)  # fmt: skip
def test_the_root_of_a_source(tmp_path: Path, source: str, root: str) -> None:
    (tmp_path / "in").mkdir()
    assert listing.root(source, str(tmp_path)) == root


def test_a_memory_file_system_is_listed_like_a_folder() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("/shelf/a/1.png", "/shelf/2.jpg", "/shelf/.x/3.jpg", "/shelf/4.txt"):
        memory.pipe_file(name, chip(3))
    assert places("memory://shelf") == ["memory:///shelf/2.jpg", "memory:///shelf/a/1.png"]
    assert [e.size for e in entries("memory://shelf/*.jpg", "")] == [len(chip(3))]
    table = io.BytesIO()
    pl.DataFrame({"path": ["2.jpg"]}).write_parquet(table)
    memory.pipe_file("/shelf/list.parquet", table.getvalue())
    assert places("memory://shelf/list.parquet") == ["memory://shelf/2.jpg"]
