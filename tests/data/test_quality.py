from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.progress import Progress

from agelens.data import chips, quality
from agelens.data.dataset import Dataset
from agelens.data.quality import POINTS, SCHEMA, measure, measure_chip
from agelens.faces.alignment import TEMPLATE
from agelens.faces.detector import Detector
from conftest import draw_chip
from labelled import stop_at, write_dataset

Chip = NDArray[np.uint8]


def test_place_light_sharpness_and_colour_are_measured(portrait: Chip, detector: Detector) -> None:
    found = measure_chip(portrait, detector)
    assert found["faces"] == 1
    assert not found["checked"]
    assert found["score"] > 0.85
    places = np.array([[found[f"{point}_{axis}"] for axis in "xy"] for point in POINTS])
    assert np.abs(places - TEMPLATE).max() < 12
    assert found["left"] < 59 < 138 < found["right"]
    assert found["top"] < 50 < 150 < found["bottom"]
    assert abs(found["roll"]) < 4
    assert 0.4 < found["pitch"] < 0.75
    assert found.keys() | {"file", "problem"} == SCHEMA.keys()
    assert not found["grey"]
    blurred = measure_chip(cv2.GaussianBlur(portrait, (0, 0), 3), detector)
    assert blurred["sharpness"] < found["sharpness"] / 10
    assert blurred["brightness"] == pytest.approx(found["brightness"], abs=2)
    half = measure_chip(portrait // 2, detector)
    assert half["contrast"] == pytest.approx(found["contrast"] / 2, rel=0.02)
    grey = np.repeat(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    flat = measure_chip(grey, detector)
    assert (flat["grey"], flat["saturation"]) == (True, 0)
    framed = portrait.copy()
    framed[:40] = 0  # a fifth of the height: the top row and a fifth of both sides
    black = measure_chip(framed, detector)["black_rim"] - found["black_rim"]
    assert black == pytest.approx((200 + 2 * 39) / (2 * 200 + 2 * 198), abs=0.05)


def test_turned_faces_are_checked_and_mirrors_mirrored(portrait: Chip, detector: Detector) -> None:
    turned = measure_chip(np.ascontiguousarray(portrait[::-1, ::-1]), detector)
    assert (turned["checked"], turned["faces"]) == (True, 1)  # by the full detector
    assert abs(abs(turned["roll"]) - 180) < 15
    found = measure_chip(portrait, detector)
    mirrored = measure_chip(np.ascontiguousarray(portrait[:, ::-1]), detector)
    for figure in ("yaw", "roll"):
        assert mirrored[figure] == pytest.approx(-found[figure], abs=1e-4)
    assert mirrored["left"] == pytest.approx(200 - found["right"], abs=1e-3)
    for figure in ("pitch", "score", "brightness", "contrast", "sharpness", "saturation"):
        assert mirrored[figure] == pytest.approx(found[figure], rel=1e-4)


def test_a_glance_gives_candidates_the_best_first(detector: Detector, portrait: Chip) -> None:
    small = np.pad(cv2.resize(portrait, (80, 80)), ((16, 16), (16, 16), (0, 0)))
    (face,) = detector.detect_upright(small)
    assert np.abs((face.landmarks.array() - 16) * 2.5 - TEMPLATE).max() < 15
    two = detector.detect_upright(np.hstack([small, cv2.GaussianBlur(small, (0, 0), 2)]))
    assert len(two) == 2
    assert two[0].score > two[1].score
    assert two[0].box.left < 112 < two[1].box.right
    assert detector.detect_upright(np.zeros_like(small)) == []


def test_no_face_leaves_its_columns_empty(detector: Detector) -> None:
    flat = np.full((200, 200, 3), (200, 100, 50), np.uint8)
    found = measure_chip(flat, detector)
    assert found["faces"] == 0
    assert found["checked"]
    assert "yaw" not in found
    assert found["brightness"] == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=1)
    assert found["contrast"] == found["sharpness"] == found["colours"] == 0
    assert found["saturation"] == 150
    assert not found["grey"]


def made(tmp_path: Path, portrait: Chip, count: int) -> Dataset:
    pictures = {f"{number:02}.png": np.maximum(portrait, number) for number in range(count)}
    return Dataset(write_dataset(tmp_path / "data", pictures))


def test_the_table_follows_the_dataset_and_is_kept(portrait: Chip, tmp_path: Path) -> None:
    dataset = made(tmp_path, portrait, 5)
    table = measure(dataset, threads=2)
    assert dict(table.schema) == SCHEMA
    assert table["file"].to_list() == dataset.samples["file"].to_list()
    assert table["faces"].to_list() == [1] * 5
    assert table["brightness"].is_sorted()
    for file in (dataset.folder / "images").iterdir():
        file.write_bytes(b"gone")
    assert measure(dataset).equals(table)  # kept, not measured
    assert not (dataset.folder / ".quality").exists()
    (dataset.folder / "quality.json").write_text('{"fingerprint": "of other data"}')
    again = measure(dataset)
    assert again["faces"].null_count() == 5
    assert "00.png" in again["problem"][0]


def test_a_run_resumes(portrait: Chip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "_PART", 2)
    dataset = made(tmp_path, portrait, 5)
    with pytest.raises(KeyboardInterrupt):
        measure(dataset, stop_at(4), threads=1)
    measured, report = Mock(side_effect=measure_chip), Mock()
    monkeypatch.setattr(quality, "measure_chip", measured)
    table = measure(dataset, report, threads=1)
    assert measured.call_count == 1  # two parts of two were done
    report.assert_called_with(5, 5)
    assert table["file"].to_list() == dataset.samples["file"].to_list()
    assert table["brightness"].null_count() == 0


def test_a_damaged_part_is_measured_anew(
    portrait: Chip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made(tmp_path, portrait, 2)
    table = measure(dataset)
    (dataset.folder / "quality.parquet").write_bytes(b"PAR1 cut off")
    assert measure(dataset).equals(table)
    # A folder that cannot be written to is no reason to fail.
    (dataset.folder / "quality.json").unlink()
    monkeypatch.setattr(quality, "write_parquet", Mock(side_effect=PermissionError(13, "no")))
    assert measure(dataset).equals(table)


def test_decoded_chips_are_read_from_their_file(portrait: Chip, tmp_path: Path) -> None:
    dataset = made(tmp_path, portrait, 3)
    plain = measure(dataset)
    decoded = chips.cached(dataset, Progress(disable=True))
    for file in (dataset.folder / "images").iterdir():
        file.unlink()
    (dataset.folder / "quality.json").unlink()
    assert measure(dataset).equals(plain)
    read = chips.reader(dataset)
    assert all((read(row) == decoded[row]).all() for row in range(3))
    # A file of other data, or one that was cut off, is not read.
    (dataset.folder / "chips.npy").write_bytes((dataset.folder / "chips.npy").read_bytes()[:500])
    cv2.imwrite(str(dataset.folder / "images" / "00.png"), draw_chip(90))
    assert chips.reader(dataset)(0).shape == (200, 200, 3)
