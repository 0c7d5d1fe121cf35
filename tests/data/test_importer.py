import csv
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from agelens.data import ingest
from agelens.data.archives import Limits
from agelens.data.dataset import Dataset
from agelens.data.folds import hashed_fold
from agelens.data.importer import Imported, import_dataset
from agelens.errors import ArchiveRefused, DatasetError, SourceError
from labelled import drawn, faces, write_any, write_folder, write_tar

FACES = faces(12)
TWIN = "99_1_0_20200101000000000.jpg"  # the bytes of the first face under another name
KNOWN = {  # names of the public release
    "100_0_0_20170112215240346.jpg": drawn(100),
    "24_0_1_20170116220224657 .jpg.chip.jpg": drawn(101),
    "55_0_0_20170116232725357jpg.chip.jpg": drawn(102),
}
BAD = {
    "39_1_20170116174525125.jpg.chip.jpg": drawn(103),
    "30_1_0_cut.jpg": drawn(104)[:200],
    "notes.txt": b"hello",
}
FILES = FACES | {TWIN: FACES["0_0_0_20200101000000000.jpg"]} | KNOWN | BAD


def rejects(dest: Path) -> dict[str, str]:
    with (dest / "rejects.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def state(dest: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(dest)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in dest.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("file", ["s", "s.zip", "s.tar", "s.tar.gz", "s.tgz"])
@pytest.mark.parametrize("top", ["", "UTKFace/", "deep/er/"])
def test_every_kind_of_source_gives_the_same(tmp_path: Path, file: str, top: str) -> None:
    source = write_any(tmp_path / file, {top + name: data for name, data in FILES.items()})
    dest = tmp_path / "out" / "dest"
    imported = import_dataset(source, dest)
    assert (imported.rejects, imported.copies, imported.published_folds) == (3, 0, 3)
    assert not imported.already

    samples = imported.dataset.samples
    assert samples["file"].to_list() == sorted(FACES.keys() | KNOWN.keys() | {TWIN})
    assert rejects(dest).keys() == BAD.keys()
    assert {path.name: path.read_bytes() for path in (dest / "images").iterdir()} == {
        name: data for name, data in FILES.items() if name not in BAD
    }
    assert sorted(path.name for path in dest.iterdir()) == [
        "dataset.json",
        "images",
        "rejects.csv",
        "samples.parquet",
    ]
    row = samples.row(by_predicate=pl.col("file") == "3_1_3_20200101000000003.jpg", named=True)
    assert {key: row[key] for key in ("age", "gender", "race", "width", "height", "fold")} == {
        "age": 3,
        "gender": "female",
        "race": "indian",
        "width": 24,
        "height": 24,
        "fold": hashed_fold("3_1_3_20200101000000003.jpg"),
    }
    folds = dict(samples.select("file", "fold").iter_rows())
    assert folds["100_0_0_20170112215240346.jpg"] == 8  # as folds v1 say
    assert folds[TWIN] == folds["0_0_0_20200101000000000.jpg"]


def test_repacked_release_with_copies_and_clashes(tmp_path: Path) -> None:
    clash = next(iter(FACES))
    files = {f"UTKFace/{name}": data for name, data in FACES.items()}
    files |= {f"crop_part1/{name}": data for name, data in FACES.items()}
    files["z/" + clash] = drawn(500)
    files["z/extra/40_0_0_bad.jpg"] = b"text"
    imported = import_dataset(write_any(tmp_path / "s.zip", files), tmp_path / "d")
    assert (len(imported.dataset), imported.copies, imported.rejects) == (12, 12, 2)
    assert rejects(tmp_path / "d")["z/" + clash] == f"its name is taken by {'UTKFace/' + clash!r}"
    assert "z/extra/40_0_0_bad.jpg" in rejects(tmp_path / "d")


def test_second_run_does_nothing(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "s.tgz", FILES)
    first = import_dataset(source, tmp_path / "d")
    before = state(tmp_path / "d")
    second = import_dataset(source, tmp_path / "d")
    assert second.already
    assert (second.rejects, second.copies) == (first.rejects, first.copies)
    assert second.dataset.fingerprint == first.dataset.fingerprint
    assert state(tmp_path / "d") == before


def stop_after(count: int) -> object:
    def report(stage: str, done: int, total: int | None) -> None:
        assert total in (None, len(FILES))
        if stage == "import" and done == count:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("file", ["s", "s.zip", "s.tar.gz"])
@pytest.mark.parametrize("count", [0, 1, 7, len(FILES)])
def test_interrupted_import_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, count: int
) -> None:
    source = write_any(tmp_path / file, FILES)
    whole = import_dataset(source, tmp_path / "whole").dataset
    dest = tmp_path / "d"
    with pytest.raises(KeyboardInterrupt):
        import_dataset(source, dest, report=stop_after(count))  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=r"no samples.parquet"):
        Dataset(dest)
    looked_at = []
    verify = ingest.verify_picture

    def counting(content: bytes) -> object:
        looked_at.append(content)
        return verify(content)

    monkeypatch.setattr(ingest, "verify_picture", counting)
    imported = import_dataset(source, dest)
    assert imported.before == count
    assert len(looked_at) <= len(FILES) - count
    assert imported.dataset.samples.equals(whole.samples)
    assert rejects(dest) == rejects(tmp_path / "whole")
    assert not (dest / ".import").exists()


KILLED = """
import os, sys
from agelens.data.importer import import_dataset

def report(stage, done, total):
    if stage == "import" and done == 5:
        os.kill(os.getpid(), 9)

import_dataset(sys.argv[1], sys.argv[2], report=report)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no signal 9")
def test_killed_import_resumes(tmp_path: Path) -> None:
    source, dest = write_tar(tmp_path / "s.tgz", FILES), tmp_path / "d"
    killed = subprocess.run([sys.executable, "-c", KILLED, source, dest], check=False)
    assert killed.returncode == -9
    imported = import_dataset(source, dest)
    assert imported.before == 5
    assert imported.dataset.samples.equals(import_dataset(source, tmp_path / "e").dataset.samples)


def spoil(dest: Path, how: str) -> None:
    table = dest / "samples.parquet"
    if how == "a picture is gone":
        next((dest / "images").iterdir()).unlink()
    elif how == "all pictures are gone":
        for path in (dest / "images").iterdir():
            path.unlink()
        (dest / "images").rmdir()
    else:
        table.unlink()


@pytest.mark.parametrize("how", ["a picture is gone", "all pictures are gone", "no table"])
def test_a_damaged_data_set_is_repaired(tmp_path: Path, how: str) -> None:
    source, dest = write_tar(tmp_path / "s.tgz", FILES), tmp_path / "d"
    whole = import_dataset(source, dest).dataset
    spoil(dest, how)
    imported = import_dataset(source, dest)
    assert not imported.already
    assert imported.dataset.samples.equals(whole.samples)
    assert imported.dataset.missing() == []


def test_refused_archives_leave_nothing(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "s.tgz", FACES | {"../evil.jpg": drawn(1)})
    with pytest.raises(ArchiveRefused, match=r"'\.\./evil.jpg'"):
        import_dataset(source, tmp_path / "d")
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(write_tar(tmp_path / "w.tgz", FACES).read_bytes()[:-2_000])
    with pytest.raises(DatasetError, match="damaged or cut short"):
        import_dataset(cut, tmp_path / "d")
    with pytest.raises(ArchiveRefused, match="limit of 3 members"):
        import_dataset(tmp_path / "w.tgz", tmp_path / "d", limits=Limits(files=3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.tgz", "s.tgz", "w.tgz"]


def imported_folder(tmp_path: Path) -> tuple[Path, Imported]:
    source = write_folder(tmp_path / "s", FACES)
    return source, import_dataset(source, tmp_path / "d")


def test_refuses_a_destination_that_holds_other_things(tmp_path: Path) -> None:
    source, _ = imported_folder(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(DatasetError, match="is not empty and not a dataset folder"):
        import_dataset(source, tmp_path / "other")
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="is a file"):
        import_dataset(source, tmp_path / "file")
    more = write_folder(tmp_path / "more", faces(13))
    with pytest.raises(DatasetError, match=r"holds a dataset from another source, 's'"):
        import_dataset(more, tmp_path / "d")
    (tmp_path / "d" / "dataset.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"cannot read .*dataset.json"):
        import_dataset(source, tmp_path / "d")


@pytest.mark.parametrize(("source", "dest"), [("s", "s"), ("s", "s/d"), ("s/t", "s")])
def test_source_and_destination_lie_apart(tmp_path: Path, source: str, dest: str) -> None:
    write_folder(tmp_path / source, FACES)
    with pytest.raises(SourceError, match="lie within one another"):
        import_dataset(tmp_path / source, tmp_path / dest)


def test_a_source_without_a_usable_picture(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "s", {"holiday.jpg": drawn(1)})
    with pytest.raises(
        DatasetError, match=r"its 1 files, the first 'holiday.jpg'; expected one of: UTK"
    ):
        import_dataset(source, tmp_path / "d")
    with pytest.raises(DatasetError, match="fits its 0 files"):
        import_dataset(write_tar(tmp_path / "s.tgz", {}), tmp_path / "e")
    with pytest.raises(DatasetError, match=r"no samples.parquet"):
        Dataset(tmp_path / "d")


def test_write_errors_name_the_file(tmp_path: Path) -> None:
    source, _ = imported_folder(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"cannot write .*run the same command again"):
        import_dataset(source, tmp_path / "file" / "d")


def test_names_of_undecodable_bytes_are_rejects(tmp_path: Path) -> None:
    odd = "30_0_0_\udcff.jpg"
    imported = import_dataset(
        write_tar(tmp_path / "s.tgz", FACES | {odd: drawn(1)}), tmp_path / "d"
    )
    assert (len(imported.dataset), imported.rejects) == (12, 1)
    assert list(rejects(tmp_path / "d")) == [r"30_0_0_\udcff.jpg"]


def test_dataset_json_tells_where_it_came_from(tmp_path: Path) -> None:
    import_dataset(write_tar(tmp_path / "s.tgz", FILES), tmp_path / "d")
    facts = json.loads((tmp_path / "d" / "dataset.json").read_text())
    assert facts["source"]["name"] == "s.tgz"
    assert facts["source"]["kind"] == "tar.gz"
    assert facts["samples"] == 16
    assert facts["rejects"] == 3
