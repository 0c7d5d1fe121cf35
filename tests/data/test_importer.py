import hashlib
import io
import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from unittest.mock import Mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agelens import errors
from agelens.data import importer
from agelens.data.archives import Limits
from agelens.data.dataset import Dataset, hashed_fold
from agelens.data.importer import MIN_SIDE, import_dataset, verify_picture
from agelens.data.storage import read_rejects
from labelled import drawn, faces, write_any, write_folder

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


def state(dest: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in dest.rglob("*") if path.is_file())
    return {str(p.relative_to(dest)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


@pytest.mark.parametrize(
    ("file", "kind", "top"),
    [
        ("s", "folder", ""), ("s.zip", "zip", "UTKFace/"), ("s.tar", "tar", "deep/er/"),
        ("s.tar.gz", "tar.gz", "UTKFace/"), ("s.tgz", "tar.gz", ""),
    ],
)  # fmt: skip
def test_every_kind_of_source_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, kind: str, top: str
) -> None:
    monkeypatch.setattr(importer, "_AHEAD", 4)  # fewer than there are
    source = write_any(tmp_path / file, {top + name: data for name, data in FILES.items()})
    dest = tmp_path / "out" / "dest"
    imported = import_dataset(source, dest)
    assert (imported.rejects, imported.copies, imported.published_folds) == (3, 0, 3)
    assert not imported.already
    samples = imported.dataset.samples
    assert samples["file"].to_list() == sorted(FACES.keys() | KNOWN.keys() | {TWIN})
    why = read_rejects(dest)
    assert list(why) == sorted(BAD)
    for name, reason in zip(BAD, ("no age and gender", "cut off", "not a picture by"), strict=True):
        assert reason in why[name]
    assert {path.name: path.read_bytes() for path in (dest / "images").iterdir()} == {
        name: data for name, data in FILES.items() if name not in BAD
    }
    made = sorted(path.name for path in dest.iterdir())
    assert made == ["dataset.json", "images", "rejects.csv", "samples.parquet"]
    name = "3_1_3_20200101000000003.jpg"
    row = samples.row(by_predicate=pl.col("file") == name, named=True)
    assert row == {
        "file": name, "age": 3, "gender": "female", "race": "indian", "width": 24, "height": 24,
        "fold": hashed_fold(name), "sha256": hashlib.sha256(FACES[name]).hexdigest(),
    }  # fmt: skip
    folds = dict(samples.select("file", "fold").iter_rows())
    assert folds["100_0_0_20170112215240346.jpg"] == 8  # as folds v1 say
    assert folds[TWIN] == folds["0_0_0_20200101000000000.jpg"]
    facts = json.loads((dest / "dataset.json").read_text())
    assert (facts["source"]["name"], facts["source"]["kind"]) == (file, kind)
    assert (facts["samples"], facts["rejects"]) == (16, 3)


def test_repacked_release_with_copies_and_clashes(tmp_path: Path) -> None:
    clash, good = next(iter(FACES)), drawn(1)
    files = {f"UTKFace/{name}": data for name, data in FACES.items()}
    files |= {f"crop_part1/{name}": data for name, data in FACES.items()}
    files |= {
        "z/" + clash: drawn(500),
        "z/30_0_0_\udcff.jpg": drawn(1),  # undecodable bytes
        "a/20_1_0_t.jpg": good[:100],  # broken, so it does not take the name
        "b/20_1_0_t.jpg": good,
        "./b/20_1_0_t.jpg": good,  # a tar may hold one path twice
        "c/20_1_0_T.JPG": good,  # the same file on some systems
    }
    imported = import_dataset(write_any(tmp_path / "s.tar", files), tmp_path / "d")
    assert (len(imported.dataset), imported.copies, imported.rejects) == (13, 13, 4)
    why = read_rejects(tmp_path / "d")
    assert list(why) == ["a/20_1_0_t.jpg", "c/20_1_0_T.JPG", "z/" + clash, r"z/30_0_0_\udcff.jpg"]
    assert why["z/" + clash] == f"its name is taken by {'UTKFace/' + clash!r}"
    assert why["c/20_1_0_T.JPG"] == "its name is taken by 'b/20_1_0_t.jpg'"
    assert (tmp_path / "d/images/20_1_0_t.jpg").read_bytes() == good


def test_second_run_does_nothing(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "s", FILES | {"20_1_0_tiny.jpg": drawn(1, (8, 8))})
    (source / "20_1_0_link.jpg").symlink_to("nowhere")
    first = import_dataset(source, tmp_path / "d")
    why = read_rejects(tmp_path / "d")
    assert "a broken link" in why["20_1_0_link.jpg"]
    assert "8 x 8 pixels" in why["20_1_0_tiny.jpg"]
    before = state(tmp_path / "d")
    second = import_dataset(source, tmp_path / "d")
    assert second.already
    assert (second.rejects, second.copies) == (first.rejects, first.copies)
    assert second.dataset.fingerprint == first.dataset.fingerprint
    assert state(tmp_path / "d") == before


@pytest.mark.parametrize(
    ("file", "count"), [("s", 0), ("s.zip", 1), ("s.tar.gz", 7), ("s", len(FILES))]
)
def test_interrupted_import_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, count: int
) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        assert total in (None, len(FILES))
        if stage == "import" and done == count:
            raise KeyboardInterrupt

    source = write_any(tmp_path / file, FILES)
    whole = import_dataset(source, tmp_path / "whole").dataset
    dest = tmp_path / "d"
    with pytest.raises(KeyboardInterrupt):
        import_dataset(source, dest, report=stop)
    with pytest.raises(errors.DatasetError, match=r"no samples.parquet"):
        Dataset(dest)
    with pytest.raises(errors.DatasetError, match="from another source, 's"):
        import_dataset(write_any(tmp_path / f"other-{file}", FACES), dest)
    verify = Mock(side_effect=verify_picture)
    monkeypatch.setattr(importer, "verify_picture", verify)
    imported = import_dataset(source, dest)
    assert imported.before == count
    assert verify.call_count <= len(FILES) - count
    assert imported.dataset.samples.equals(whole.samples)
    assert read_rejects(dest) == read_rejects(tmp_path / "whole")
    assert not (dest / ".import").exists()


KILLED = """
import os, sys
from agelens.data.importer import import_dataset
stop = lambda stage, done, total: (stage, done) == ("import", 5) and os.kill(os.getpid(), 9)
import_dataset(sys.argv[1], sys.argv[2], report=stop)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no signal 9")
def test_killed_import_resumes(tmp_path: Path) -> None:
    source, dest = write_any(tmp_path / "s.tgz", FILES), tmp_path / "d"
    killed = subprocess.run([sys.executable, "-c", KILLED, source, dest], check=False)
    assert killed.returncode == -9
    imported = import_dataset(source, dest)
    assert imported.before == 5
    assert imported.dataset.samples.equals(import_dataset(source, tmp_path / "e").dataset.samples)


@pytest.mark.parametrize("gone", [f"images/{TWIN}", "images", "samples.parquet"])
def test_a_damaged_data_set_is_repaired(tmp_path: Path, gone: str) -> None:
    source, dest = write_any(tmp_path / "s.tgz", FILES), tmp_path / "d"
    whole = import_dataset(source, dest).dataset
    if gone == "images":
        shutil.rmtree(dest / gone)
    else:
        (dest / gone).unlink()
    imported = import_dataset(source, dest)
    assert not imported.already
    assert imported.dataset.samples.equals(whole.samples)
    assert imported.dataset.missing() == []


def test_refused_archives_leave_nothing(tmp_path: Path) -> None:
    source = write_any(tmp_path / "s.tgz", FACES | {"../evil.jpg": drawn(1)})
    with pytest.raises(errors.ArchiveRefused, match=r"'\.\./evil.jpg'"):
        import_dataset(source, tmp_path / "d")
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(write_any(tmp_path / "w.tgz", FACES).read_bytes()[:-2_000])
    with pytest.raises(errors.DatasetError, match="damaged or cut short"):
        import_dataset(cut, tmp_path / "d")
    with pytest.raises(errors.ArchiveRefused, match="limit of 3 members"):
        import_dataset(tmp_path / "w.tgz", tmp_path / "d", limits=Limits(files=3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.tgz", "s.tgz", "w.tgz"]


def test_refuses_a_destination_that_holds_other_things(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "s", FACES)
    import_dataset(source, tmp_path / "d")
    write_folder(tmp_path, {"other/thesis.tex": b"", "file": b""})
    more = write_folder(tmp_path / "more", faces(13))
    for start, dest, message in (
        (source, "other", "is not empty and not a dataset folder"),
        (source, "file", "is a file"),
        (source, "file/d", r"cannot write .*run the same command again"),
        (more, "d", r"holds a dataset from another source, 's'"),
    ):
        with pytest.raises(errors.DatasetError, match=message):
            import_dataset(start, tmp_path / dest)
    (tmp_path / "d" / "dataset.json").write_text("{}")
    with pytest.raises(errors.DatasetError, match=r"cannot read .*dataset.json"):
        import_dataset(source, tmp_path / "d")
    for dest in (source, source / "d", tmp_path):
        with pytest.raises(errors.SourceError, match="lie within one another"):
            import_dataset(source, dest)


def test_a_source_without_a_usable_picture(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "s", {"holiday.jpg": drawn(1)})
    with pytest.raises(
        errors.DatasetError, match=r"its 1 files, the first 'holiday.jpg'; expected one of: UTK"
    ):
        import_dataset(source, tmp_path / "d")
    with pytest.raises(errors.DatasetError, match="fits its 0 files"):
        import_dataset(write_any(tmp_path / "s.tgz", {}), tmp_path / "e")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_verify_returns_upright_size_and_digest(kind: str) -> None:
    content = drawn(1, (40, 30), kind)
    assert verify_picture(content) == (40, 30, hashlib.sha256(content).hexdigest())
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).save(file, kind, exif=exif)
    assert verify_picture(file.getvalue())[:2] == (30, 40)


@given(share=st.floats(0, 0.9), kind=st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_cut_off_pictures_and_other_files_are_bad_pictures(share: float, kind: str) -> None:
    content = drawn(3, (64, 64), kind)
    with pytest.raises(errors.PictureError):
        verify_picture(content[: int(share * len(content))])
    for other in (b"", b"GET / HTTP/1.1", b"\xff\xd8\xff\xe0"):
        with pytest.raises(errors.BadPicture):
            verify_picture(other)


def test_sides_from_sixteen_pixels_to_millions_in_all() -> None:
    assert verify_picture(drawn(1, (MIN_SIDE, 400)))[0] == MIN_SIDE
    with pytest.raises(errors.BadPicture, match="400 x 15 pixels: expected at least 16"):
        verify_picture(drawn(1, (400, MIN_SIDE - 1)))
    head = b"IHDR" + (100_000).to_bytes(4) + (100_000).to_bytes(4) + b"\x08\x02\0\0\0"
    chunk = len(head[4:]).to_bytes(4) + head + zlib.crc32(head).to_bytes(4)
    body = b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4)
    with pytest.raises(errors.PictureTooLarge):  # seen in the header
        verify_picture(b"\x89PNG\r\n\x1a\n" + chunk + body)
