import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agelens.data.dataset import SCHEMA, Dataset
from agelens.errors import DatasetError


def frame(count: int = 20) -> pl.DataFrame:
    rows = [
        (f"{n:02}_0_0_t.jpg", n, "male" if n % 2 else "female", None, 200, 200, f"{n:064}", n % 10)
        for n in range(count)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def write(folder: Path, samples: pl.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    samples.write_parquet(folder / "samples.parquet")
    return folder


def test_split_gives_every_row_to_one_part(tmp_path: Path) -> None:
    dataset = Dataset(write(tmp_path, frame()))
    assert len(dataset) == 20
    for number in range(5):
        split = dataset.split(number)
        rows = np.concatenate([split.train, split.validation, split.test])
        assert sorted(rows.tolist()) == list(range(20))
    split = dataset.split(0)
    assert split.test.tolist() == [8, 9, 18, 19]
    assert split.validation.tolist() == [6, 7, 16, 17]
    assert split.test.dtype == np.int64
    assert dataset.samples[split.test]["age"].to_list() == [8, 9, 18, 19]
    with pytest.raises(DatasetError, match="no split 5"):
        dataset.split(5)


def test_fingerprint_is_of_pictures_and_labels(tmp_path: Path) -> None:
    one = frame(2)
    lines = f"00_0_0_t.jpg\t{0:064}\t0\tfemale\n01_0_0_t.jpg\t{1:064}\t1\tmale\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert Dataset(write(tmp_path / "a", one)).fingerprint == expected
    assert Dataset(write(tmp_path / "b", one.reverse())).fingerprint == expected
    older = one.with_columns(age=pl.col("age") + pl.lit(1, pl.Int16))
    assert Dataset(write(tmp_path / "c", older)).fingerprint != expected


def test_image_paths_and_missing_images(tmp_path: Path) -> None:
    dataset = Dataset(write(tmp_path, frame(3)))
    assert dataset.image_path(2) == tmp_path / "images" / "02_0_0_t.jpg"
    assert dataset.image_path("02_0_0_t.jpg") == dataset.image_path(2)
    with pytest.raises(IndexError):
        dataset.image_path(3)
    assert len(dataset.missing()) == 3
    (tmp_path / "images").mkdir()
    dataset.image_path(1).touch()
    assert dataset.missing() == ["00_0_0_t.jpg", "02_0_0_t.jpg"]


def test_refuses_other_folders(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"it has no samples.parquet; make one with"):
        Dataset(tmp_path)
    (tmp_path / "samples.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match="cannot read"):
        Dataset(tmp_path)
    other = frame().drop("fold").with_columns(age=pl.col("age").cast(pl.Int64))
    with pytest.raises(DatasetError, match=r"age \(Int64, expected Int16\), fold \(missing"):
        Dataset(write(tmp_path, other))


def test_without_polars_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['polars'] = None\n"
        "from agelens.errors import MissingExtra\n"
        "try:\n    import agelens.data.importer\n"
        "except MissingExtra as error:\n    print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'agelens[data]'" in run.stdout
