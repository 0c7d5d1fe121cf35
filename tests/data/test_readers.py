import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agelens.data.archives import Limits
from agelens.data.dataset import hashed_fold, published
from agelens.data.importer import Imported, import_dataset
from agelens.data.readers.csv_files import pixels, rows
from agelens.data.readers.reader import flat_name
from agelens.data.storage import read_rejects
from agelens.errors import DatasetError
from labelled import drawn, faces, table, write_any, write_folder


def labels(imported: Imported) -> dict[str, tuple[Any, ...]]:
    wanted = ("file", "age", "gender", "race", "age_low", "age_high")
    samples = imported.dataset.samples
    rows = samples.select([column for column in wanted if column in samples.columns]).iter_rows()
    return {row[0]: row[1:] for row in rows}


def run(tmp_path: Path, source: dict[str, bytes] | Path, kind: str = "s") -> Imported:
    path = source if isinstance(source, Path) else write_any(tmp_path / kind, source)
    return import_dataset(path, tmp_path / "d")


def number(side: int, channels: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 256, side * side * channels).tolist()


def text(values: list[int]) -> str:
    return " ".join(map(str, values))


KNOWN = next(name for name in sorted(published()) if name.startswith("26_1_3_"))
TIME = KNOWN.split("_")[3].split(".")[0]


def stored(dest: Path, name: str) -> tuple[str, list[int]]:
    with Image.open(dest / "images" / name) as picture:
        return picture.mode, np.asarray(picture).ravel().tolist()


@pytest.mark.parametrize("inside", [False, True])
def test_pixel_csv_in_grey_with_names(tmp_path: Path, inside: bool) -> None:
    first = number(48, 1, 0)
    rows = [
        (26, 3, 1, f"{TIME}.jpg.chip.jpg", text(first)),
        (40, 9, 0, "20170112213500903.jpg.chip.jpg", text(number(48, 1, 1))),
        (40, 0, 0, "20170112213500904.jpg.chip.jpg", text(number(48, 1, 2)[:-1])),
        (130, 0, 0, "20170112213500905.jpg.chip.jpg", text(number(48, 1, 3))),
    ]
    content = table("age,ethnicity,gender,img_name,pixels", rows)
    source = write_folder(tmp_path / "s", {"age_gender.csv": content})
    imported = run(tmp_path, source if inside else source / "age_gender.csv")
    assert imported.recognised.endswith("text (age_gender.csv: 4 rows of 48 x 48 grey)")
    named = f"26_1_3_{TIME}.png"
    assert labels(imported) == {
        named: (26, "female", "indian"),
        "40_0_9_20170112213500903.png": (40, "male", None),
    }
    assert stored(tmp_path / "d", named) == ("L", first)
    folds = dict(imported.dataset.samples.select("file", "fold").iter_rows())
    assert folds[named] == published()[KNOWN]  # the photo keeps its fold in any form
    why = read_rejects(tmp_path / "d")
    assert "2,303 pixel values: expected a square" in why["row 000003"]
    assert "age '130'" in why["row 000004"]


def test_pixel_csv_in_colour_without_names_twice(tmp_path: Path) -> None:
    values = number(50, 3, 0)
    source = tmp_path / "faces.csv"
    source.write_bytes(table("age,gender,ethnicity,image", [(1, 0, 2, text(values))]))
    imported = run(tmp_path, source)
    assert "1 rows of 50 x 50 colour" in imported.recognised
    assert labels(imported) == {"row_000001.png": (1, "male", "asian")}
    assert stored(tmp_path / "d", "row_000001.png") == ("RGB", values)
    again = run(tmp_path, source)
    assert again.already
    assert (again.recognised, again.terms) == (imported.recognised, imported.terms)


@given(st.integers(1, 12), st.sampled_from([1, 3]), st.integers(0, 9))
def test_pixels_are_read_as_written(side: int, channels: int, seed: int) -> None:
    values = number(side, channels, seed)
    read = pixels(text(values))
    assert read.ravel().tolist() == values
    assert read.shape == ((side, side) if channels == 1 else (side, side, 3))


@pytest.mark.parametrize("bad", ["", "1 2", "256", "-1", "nan", "a", "inf"])
def test_invalid_pixels_raise(bad: str) -> None:
    with pytest.raises(ValueError, match="pixel"):
        pixels(bad)


def test_crop_part1_beside_utkface(tmp_path: Path) -> None:
    two = list(faces(2).items())
    files = {f"archive/UTKFace/{name}.chip.jpg": data for name, data in two}
    files |= {f"archive/crop_part1/{name}.chip.jpg": data for name, data in two}
    only = {"crop_part1/" + name + ".chip.jpg": data for name, data in faces(3).items()}
    imported = run(tmp_path, files, "s.zip")
    assert imported.recognised == "UTKFace file names (4 files; folders: UTKFace, crop_part1)"
    assert (len(imported.dataset), imported.copies) == (2, 2)
    imported = run(tmp_path / "e", only)
    assert imported.recognised == "UTKFace file names (3 files; folders: crop_part1)"


@pytest.mark.parametrize("kind", ["s", "s.zip", "s.tar.gz"])
def test_labels_csv_with_ages_and_ranges(tmp_path: Path, kind: str) -> None:
    rows = [
        ("a.jpg", 31, "", "", "female"), ("sub/b.png", "", 20, 29, "Male"),
        ("gone.jpg", 5, "", "", "male"), ("c.jpg", "old", "", "", "male"),
        ("d.jpg", 5, "", "", "1"), ("e.jpg", 5, "", "", "male"),
        ("e.jpg", 6, "", "", "male"), ("f.jpg", 44, "", "", ""),
    ]  # fmt: skip
    listed = table("File,Age,age_low,age_high,Gender", rows)
    files = {"top/labels.csv": b"\xef\xbb\xbf" + listed, "top/sub/b.png": drawn(9, kind="PNG")}
    for seed, name in enumerate(("a", "c", "d", "e", "f", "stray")):
        files[f"top/images/{name}.jpg"] = drawn(seed)
    imported = run(tmp_path, files, kind)
    assert imported.recognised.endswith("with a label table (top/labels.csv: 7 rows)")
    assert labels(imported) == {
        "a.jpg": (31, "female", None, None, None),
        "sub_b.png": (24, "male", None, 20, 29),
        "f.jpg": (44, None, None, None, None),
    }
    why = read_rejects(tmp_path / "d")
    assert "named in top/labels.csv row 4, but there is no such picture" in why["gone.jpg"]
    assert "row 5: age 'old'" in why["images/c.jpg"]
    assert "gender '1'" in why["images/d.jpg"]
    assert "row 7, top/labels.csv row 8" in why["images/e.jpg"]
    assert why["images/stray.jpg"] == "no row in the label table"
    with pytest.raises(DatasetError, match=r"1 of 3 samples .* carry no gender"):
        imported.dataset.split(0)


def test_fgnet_names_keep_a_person_in_one_fold(tmp_path: Path) -> None:
    names = [f"{subject:03}A{age:02}{letter}.JPG"
             for subject in range(1, 6) for age in (2, 18, 43) for letter in ("", "a")]  # fmt: skip
    files = {f"FGNET/images/{name}": drawn(seed) for seed, name in enumerate(names)}
    files["FGNET/images/readme.jpg"] = drawn(99)
    imported = run(tmp_path, files)
    assert "FG-NET file names (30 files" in imported.recognised
    samples = imported.dataset.samples
    assert sorted(samples["age"].unique()) == [2, 18, 43]
    assert samples["gender"].null_count() == 30
    assert samples.group_by("subject").agg(pl.col("fold").n_unique())["fold"].max() == 1
    first = samples.filter(pl.col("subject") == "001")["fold"][0]
    assert first == hashed_fold("001A02.JPG")
    assert list(read_rejects(tmp_path / "d")) == ["readme.jpg"]


def test_fairface_label_files(tmp_path: Path) -> None:
    columns = "file,age,gender,race,service_test"
    train = [
        ("train/1.jpg", "50-59", "Male", "East Asian", True),
        ("train/2.jpg", "more than 70", "Female", "Latino_Hispanic", False),
    ]
    files = {
        "f/fairface_label_train.csv": table(columns, train),
        "f/fairface_label_val.csv": table(columns, [("val/1.jpg", "3-9", "Female", "Black", "")]),
    }
    for seed, name in enumerate(("train/1", "train/2", "val/1")):
        files[f"f/margin025/{name}.jpg"] = drawn(seed)
    imported = run(tmp_path, files)
    assert imported.recognised.startswith("FairFace label files (f/fairface_label_train.csv")
    assert "CC BY 4.0" in imported.terms
    assert labels(imported) == {
        "train_1.jpg": (54, "male", "asian", 50, 59),
        "train_2.jpg": (70, "female", "other", 70, 116),
        "val_1.jpg": (6, "female", "black", 3, 9),
    }


def test_hugging_face_folder_with_metadata_csv(tmp_path: Path) -> None:
    files = {
        "train/metadata.csv": table("file_name,age,gender", [("0001.png", 8, "F")]),
        "test/metadata.csv": table("file_name,age,gender", [("0001.png", 80, "M")]),
        "train/0001.png": drawn(1, kind="PNG"),
        "test/0001.png": drawn(2, kind="PNG"),
    }
    imported = run(tmp_path, files)
    assert imported.recognised.startswith("a Hugging Face image folder (test/metadata.csv")
    assert labels(imported) == {
        "test_0001.png": (80, "male", None),
        "train_0001.png": (8, "female", None),
    }


@pytest.mark.parametrize("alone", [False, True])
def test_hugging_face_parquet(tmp_path: Path, alone: bool) -> None:
    pictures: list[bytes | None] = [drawn(n) for n in range(150)]
    pictures[3] = None
    columns = {"age": [n % 90 for n in range(150)], "gender": [n % 2 for n in range(150)]}
    names = [data and {"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(pictures)]
    kind = pl.Struct({"bytes": pl.Binary, "path": pl.String})
    frame = pl.DataFrame({"image": names} | columns, schema_overrides={"image": kind})
    classes = {"gender": {"names": ["Male", "Female"], "_type": "ClassLabel"}}
    path = tmp_path / "s/data/train-00000.parquet"
    path.parent.mkdir(parents=True)
    about = {"huggingface": json.dumps({"info": {"features": classes}})}
    frame.write_parquet(path, metadata=about)
    imported = run(tmp_path, path if alone else tmp_path / "s")
    assert imported.recognised.endswith("(1 file, 150 rows, pictures in the column image)")
    assert (len(imported.dataset), imported.rejects) == (149, 1)
    prefix = "" if alone else "data_"
    assert labels(imported)[f"{prefix}train-00000_149.jpg"] == (59, "female", None)
    assert (tmp_path / f"d/images/{prefix}train-00000_149.jpg").read_bytes() == drawn(149)


def test_parquet_numbers_without_names_are_rejects(tmp_path: Path) -> None:
    frame = pl.DataFrame({"image": [drawn(1), drawn(2)], "age": [1, 2], "gender": ["f", "0"]})
    frame.write_parquet(tmp_path / "x.parquet")
    assert labels(run(tmp_path, tmp_path / "x.parquet")) == {"x_000001.jpg": (1, "female", None)}
    assert "data sets number genders differently" in read_rejects(tmp_path / "d")["row 000002"]


def test_labels_beside_published_names_keep_their_folds(tmp_path: Path) -> None:
    files = {"train/" + KNOWN: drawn(1), "train/x.jpg": drawn(2)}
    files["labels.csv"] = table("file,age,gender", [(name, 26, "f") for name in list(files)])
    samples = run(tmp_path, files).dataset.samples
    assert samples["file"].to_list() == [KNOWN, "train_x.jpg"]
    assert samples["fold"][0] == published()[KNOWN]


def test_a_zip_of_pixels_or_with_a_huge_table_says_to_unpack(tmp_path: Path) -> None:
    row = (1, 0, 2, text(number(50, 3, 0)))
    source = write_any(tmp_path / "a.zip", {"a.csv": table("age,gender,ethnicity,image", [row])})
    with pytest.raises(DatasetError, match=r"'a.csv': unpack the archive"):
        import_dataset(source, tmp_path / "d")
    with pytest.raises(DatasetError, match="unpack the archive yourself"):
        import_dataset(source, tmp_path / "d", limits=Limits(member_bytes=1000))


def test_changed_labels_are_another_source(tmp_path: Path) -> None:
    files = {"a.jpg": drawn(1), "labels.csv": b"file,age\na.jpg,31"}
    run(tmp_path, files)
    with pytest.raises(DatasetError, match="holds a dataset from another source"):
        run(tmp_path, files | {"labels.csv": b"file,age\na.jpg,32"})


def test_paths_in_a_table_never_leave_the_folder(tmp_path: Path) -> None:
    listed = table("file,age", [("a.jpg", 3), ("/etc/passwd", 4), ("../up.jpg", 5)])
    imported = run(tmp_path, {"in/a.jpg": drawn(1), "in/labels.csv": listed})
    assert (len(imported.dataset), imported.rejects) == (1, 2)
    assert [path.name for path in (tmp_path / "d/images").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": b"x,y\n1,2\n"}, "none of the forms"),
        ({"labels.csv": b"file,age\n"}, "none of the forms"),
        ({"labels.csv": b"file,age\n,3\n"}, "no row that names a picture"),
        ({"labels.csv": b"file,age\na.jpg,\xff\n"}, "none of the forms"),
        ({"labels.csv": b"file,age\na.jpg,3\nb.jpg,\xff\n"}, "line 3 is not UTF-8"),
        ({"x.parquet": b"PAR1 no"}, "as Parquet"),
        ({"labels.csv": b"file,age\n" + b"a.jpg,3\n" * 200_000}, "over the limit of 1,000,000"),
    ],
)
def test_unusable_tables_raise(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    source = write_folder(tmp_path / "s", files)
    with pytest.raises(DatasetError, match=message):
        import_dataset(source, tmp_path / "d", limits=Limits(member_bytes=1_000_000))
    assert not (tmp_path / "d").exists()


def test_endless_lines_are_refused() -> None:
    stream = io.BytesIO(b"file,age\n" + b"x" * 2**21)
    with pytest.raises(DatasetError, match="line 2 is over the limit of 1,048,576 bytes"):
        list(rows(stream, "labels.csv"))


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_one_error(data: bytes) -> None:
    try:
        for row in rows(io.BytesIO(data), "labels.csv"):
            assert all(isinstance(value, str) for value in row.values())
    except DatasetError as error:
        assert "labels.csv" in str(error)


@given(st.text())
def test_flat_names_are_plain_file_names(path: str) -> None:
    name = flat_name(path, ".png")
    assert name.endswith(".png")
    assert not set(name) & set('/\\:*?"<>|\x00 ')
    assert name not in (".png", "..png")
    assert len(name.encode()) <= 210
