from pathlib import Path

import numpy as np
import pytest

from agelens.data.importer import import_dataset
from agelens.errors import DatasetError, SourceError
from agelens.evaluation.adaptation.album import predict_album, read_album
from agelens.inference.runtime import Model
from labelled import drawn, write_folder
from photos import encoded
from reported import chip


def face(age: int, female: bool) -> bytes:
    return encoded(chip(age, female, np.random.default_rng(age)), kind="PNG")


TABLE = b"""File,Age,Sex,Person
a.png,40,woman,ann
b.png,,male,bob
c.png,52,,ann
d.png,,,bob
sub/e.png,60-69,m,eve
"""
FILES = {"labels.csv": TABLE, "sub/e.png": face(64, False)} | {
    f"{name}.png": face(age, age < 50) for name, age in (("a", 40), ("b", 45), ("c", 52))
}


def test_labels_may_lack_age_or_gender(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mine", FILES | {"d.png": face(50, True)})
    album = read_album(folder)
    assert [one.path.name for one in album] == ["a.png", "b.png", "c.png", "e.png"]  # d has none
    assert np.array_equal([one.age for one in album], [40, np.nan, 52, 64], equal_nan=True)
    assert np.array_equal([one.female for one in album], [1, 0, np.nan, 0], equal_nan=True)
    assert [one.person for one in album] == ["ann", "bob", "ann", "eve"]


def test_chips_and_photos_are_predicted_and_faceless_pictures_left_out(
    tmp_path: Path, tiny_model: Path, astronaut_path: Path
) -> None:
    files = FILES | {"d.png": drawn(1, (300, 200)), "photo.jpg": astronaut_path.read_bytes()}
    files["labels.csv"] = b"file,age\na.png,40\nd.png,30\nphoto.jpg,38\nb.png,44\ncopy.png,40\n"
    files["copy.png"] = files["a.png"]
    done: list[int] = []
    album = read_album(write_folder(tmp_path / "mine", files))
    seen = predict_album(Model(tiny_model, 1), album, False, 1, done.append)
    assert seen.outputs.age.tolist() == [40, 38, 44, 40]
    assert seen.outputs.age_probabilities.argmax(axis=1)[[0, 2]].tolist() == [40, 45]
    assert seen.rejects == [("d.png", "no face found")] and not seen.people_named
    first, *_, copy = people = list(seen.outputs.people)
    assert first == copy and len(set(people)) == 3
    assert seen.chips.shape == (4, 200, 200, 3)
    assert done == [5]


def test_dataset_folder_keeps_its_people(tmp_path: Path, tiny_model: Path) -> None:
    folder = write_folder(tmp_path / "mine", FILES)
    dataset = import_dataset(folder, tmp_path / "dataset").dataset
    assert dataset.samples["subject"].to_list() == ["ann", "ann", "eve"]
    album = read_album(dataset.folder)
    assert {(one.age, one.person) for one in album} == {(40, "ann"), (52, "ann"), (64, "eve")}
    assert predict_album(Model(tiny_model, 1), album, False, 1, lambda _: None).people_named


@pytest.mark.parametrize(("table", "message"), [
    (b"file,age\na.png,old\n", "labels.csv row 2: age 'old': expected whole years"),
    (b"file,age\na.png,3\nz.png,4\n", "labels.csv row 3: no picture 'z.png'"),
    (b"file,age\na.png,\n", "names no labelled picture"),
    (b"name,age\na.png,7\n", "expected a column file"),
])  # fmt: skip
def test_bad_tables_are_refused(tmp_path: Path, table: bytes, message: str) -> None:
    folder = write_folder(tmp_path / "mine", FILES | {"labels.csv": table})
    with pytest.raises(DatasetError, match=message):
        read_album(folder)


def test_folders_without_labels_or_faces_are_refused(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        read_album(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"has no labels\.csv: expected pictures beside"):
        read_album(tmp_path)
    files = {"labels.csv": b"file,age\nd.png,30\n", "d.png": drawn(1, (300, 200))}
    album = read_album(write_folder(tmp_path / "mine", files))
    with pytest.raises(DatasetError, match=r"no face in any of 1 pictures, the first 'd\.png'"):
        predict_album(Model(tiny_model, 1), album, False, 1, lambda _: None)
