import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data import dataset as data
from agelens.data.dataset import SCHEMA, Dataset
from agelens.data.labels import read_label
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
    assert split.test.tolist() == dataset.samples[split.test]["age"].to_list() == [8, 9, 18, 19]
    assert (split.validation.tolist(), split.test.dtype) == ([6, 7, 16, 17], np.int64)
    for number, first in enumerate((0, 2, 4, 5, 6)):  # the protocol's
        folds = tuple((first + fold) % 10 for fold in range(10))
        assert data.split_folds(number) == (folds[:6], folds[6:8], folds[8:])
    for split_of in (data.split_folds, dataset.split):
        for number in (-1, 5):
            with pytest.raises(DatasetError, match=f"no split {number}: expected 0 to 4"):
                split_of(number)


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
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert "pip install 'agelens[data]'" in printed


def test_published_folds_are_whole() -> None:
    folds = data.published()
    assert (len(folds), set(folds.values())) == (23_704, set(range(10)))
    assert min(Counter(folds.values()).values()) > 2_200
    for name in folds:
        read_label(name)
    # Most pictures are a group of their own, whose fold is the hash of their name.
    own = sum(data.hashed_fold(name) == fold for name, fold in folds.items())
    assert own / len(folds) > 0.95
    assert data.published_fold("100_0_0_20170112215240346.jpg.chip.jpg") == 8
    assert data.published_fold("100_0_0_20170112215240346.jpg") == 8
    assert data.published_fold("30_0_0_20200101000000000.jpg") is None
    assert data.published_fold("readme.txt") is None


def test_copies_follow_the_first_by_name_or_the_published_one() -> None:
    # printf a.jpg | sha256sum gives 509b0d46..., which is 1352338758
    assert data.hashed_fold("a.jpg") == 1352338758 % 10
    digests = {"30_0_0_b.jpg": "same", "20_0_0_a.jpg": "same", "40_0_0_c.jpg": "other"}
    folds = data.assign_folds(digests)
    assert folds["20_0_0_a.jpg"] == folds["30_0_0_b.jpg"] == data.hashed_fold("20_0_0_a.jpg")
    assert folds["40_0_0_c.jpg"] == data.hashed_fold("40_0_0_c.jpg")
    known = "100_0_0_20170112215240346.jpg.chip.jpg"
    for first in ("0_0_0_before.jpg", "99_0_0_after.jpg"):
        assert data.assign_folds({first: "same", known: "same"}) == {first: 8, known: 8}


@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}\.jpg", fullmatch=True), st.sampled_from("abcde")))
def test_no_digest_stands_in_two_folds(digests: dict[str, str]) -> None:
    folds = data.assign_folds(digests)
    assert folds.keys() == digests.keys()
    assert all(0 <= fold <= 9 for fold in folds.values())
    pairs = {(digests[name], fold) for name, fold in folds.items()}
    assert len(pairs) == len(set(digests.values()))
