import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data.alignment import COLUMNS, Cutter, align_pictures, chip_name
from agelens.data.importer import import_dataset
from agelens.data.labels import read_label
from agelens.data.landmarks import Predictor
from agelens.data.quality import POINTS
from agelens.data.storage import read_rejects
from agelens.errors import BadLabel, DatasetError, SourceError
from agelens.faces.alignment import TEMPLATE
from agelens.faces.detector import Detector
from agelens.images.decode import Picture, read
from agelens.results import Landmarks
from alignment_accuracy import paste
from labelled import stop_at, write_any, write_folder
from photos import encoded

NAME = "36_1_0_20170101000000000.jpg"


@pytest.fixture(scope="module")
def cutter() -> Cutter:
    return Cutter()


@pytest.fixture(scope="module")
def chip(astronaut: Picture, detector: Detector, cutter: Cutter) -> Picture:
    return cutter.cut(astronaut, detector.detect(astronaut)[0].landmarks)


def rows(dest: Path) -> list[dict[str, str]]:
    with (dest / "chips.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def points(row: dict[str, str]) -> NDArray[np.float64]:
    return np.array([(float(row[f"{name}_x"]), float(row[f"{name}_y"])) for name in POINTS])


def eyes(chip: Picture, predictor: Predictor) -> NDArray[np.float64]:
    shape = predictor.predict(chip)
    return np.array([shape[36:42].mean(axis=0), shape[42:48].mean(axis=0)], np.float64)


@pytest.mark.parametrize(
    ("scale", "turns"), [(0.5, (0, -90)), (1.0, (0, -35, 140, -90)), (3.0, (140,))]
)
def test_eyes_of_a_pasted_chip_come_back_to_where_they_were(
    tmp_path: Path, chip: Picture, detector: Detector, cutter: Cutter, scale: float,
    turns: tuple[int, ...],
) -> None:  # fmt: skip
    pasted = {f"{turn}.png": paste(chip, scale, turn) for turn in turns}
    files = {name: encoded(picture, kind="PNG") for name, (picture, _) in pasted.items()}
    align_pictures(write_folder(tmp_path / "s", files), tmp_path / "d", detector=detector)
    found = rows(tmp_path / "d")
    assert [row["picture"] for row in found] == sorted(files)
    predictor = Predictor()
    seen = eyes(chip, predictor)
    for row in found:
        picture, matrix = pasted[row["picture"]]
        back = cutter.place(picture, Landmarks.from_array(points(row)))
        there = seen @ matrix[:, :2].T + matrix[:, 2]
        again = (np.column_stack([there, np.ones(2)]) @ np.linalg.inv(back).T)[:, :2]
        off = np.linalg.norm(again - seen, axis=1)
        assert off.max() <= 3, f"{row['picture']}: {off.round(1)} px"
        made = eyes(read(tmp_path / "d" / "chips" / row["chip"]), predictor)
        assert np.linalg.norm(made - seen, axis=1).max() <= 3  # px of the chip


def test_a_makers_chip_and_points_without_a_face_stay(chip: Picture, cutter: Cutter) -> None:
    moved = cutter.place(chip, Landmarks.from_array(TEMPLATE))
    corners = np.array([[0, 0, 1], [200, 0, 1], [200, 200, 1]], float)
    assert np.abs(corners @ moved.T - corners).max() < 4
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    at = TEMPLATE + 40
    shift = cutter.place(noise, Landmarks.from_array(at)) @ np.array([59.0, 57.7, 1.0])
    assert np.linalg.norm(shift[:2] - at[0]) < 40  # never further than a wrong guess may move


def test_chips_are_what_the_cutter_gives(
    tmp_path: Path, astronaut: Picture, detector: Detector, cutter: Cutter
) -> None:
    source = write_folder(tmp_path / "s", {"sub/" + NAME: encoded(astronaut)})
    done = align_pictures(source, tmp_path / "d", detector=detector)
    assert (done.pictures, done.chips, done.rejects) == (1, 1, 0)
    (row,) = rows(tmp_path / "d")
    assert (row["chip"], row["face"]) == (f"sub/{NAME}.chip.jpg", "1")
    stored = read(tmp_path / "d" / "chips" / row["chip"])
    expected = cutter.cut(read(source / "sub" / NAME), Landmarks.from_array(points(row)))
    assert np.abs(stored.astype(int) - expected).mean() < 2.5  # JPEG
    imported = import_dataset(tmp_path / "d" / "chips", tmp_path / "e")
    assert imported.dataset.samples.row(0)[:4] == (f"{NAME}.chip.jpg", 36, "female", "white")


def test_every_face_or_the_main_one(tmp_path: Path, group_path: Path, detector: Detector) -> None:
    source = write_folder(tmp_path / "s", {NAME: group_path.read_bytes()})
    main = align_pictures(source, tmp_path / "main", detector=detector)
    every = align_pictures(source, tmp_path / "all", every=True, detector=detector)
    assert (main.chips, every.chips) == (1, 9)
    found = rows(tmp_path / "all")
    assert found[0] == rows(tmp_path / "main")[0]
    boxes = np.array([[float(row[side]) for side in COLUMNS[4:8]] for row in found])
    assert (np.diff((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) <= 0).all()
    for row in found[1:]:  # the label is the main person's alone
        with pytest.raises(BadLabel):
            read_label(row["chip"])
    with pytest.raises(DatasetError, match=r"\(all faces\), not of 's' \(main faces\)"):
        align_pictures(source, tmp_path / "all")
    names = [chip_name("a/b.jpg", 1), chip_name("b.jpg.chip.jpg", 1), chip_name("b.png", 3)]
    assert names == ["a/b.jpg.chip.jpg", "b.jpg.chip.jpg", "face3_of_b.png.chip.jpg"]


def mixed(astronaut: Picture) -> dict[str, bytes]:
    portrait, flat = encoded(astronaut[:256, 100:356]), encoded(np.full((90, 90, 3), 70, np.uint8))
    files = {"a.jpg": portrait, "b.jpg": b"no picture", "c.jpg": flat, "d/e.jpg": portrait}
    return files | {"notes.txt": b"x", "z.jpg": portrait}


@pytest.mark.parametrize("kind", ["s", "s.zip", "s.tar.gz"])
def test_rejects_and_a_second_run(tmp_path: Path, astronaut: Picture, kind: str) -> None:
    source = write_any(tmp_path / kind, mixed(astronaut))
    command = ["data", "align", str(source), str(tmp_path / "d"), "--workers", "2"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "3 chips of 6 pictures" in result.stdout
    why = read_rejects(tmp_path / "d")
    assert (list(why), why["c.jpg"]) == (["b.jpg", "c.jpg", "notes.txt"], "no face found")
    again = CliRunner().invoke(app, command)
    assert "nothing to do" in again.stderr
    assert "3 rejects" in again.stdout


def test_an_interrupted_run_resumes(tmp_path: Path, astronaut: Picture) -> None:
    source = write_folder(tmp_path / "s", mixed(astronaut))
    with pytest.raises(KeyboardInterrupt):
        align_pictures(source, tmp_path / "d", report=stop_at("align", 4))
    assert not (tmp_path / "d/align.json").exists()
    (tmp_path / "d/chips/a.jpg.chip.jpg").unlink()
    with pytest.raises(DatasetError, match="choose another folder"):
        align_pictures(source, tmp_path / "d", every=True)
    done = align_pictures(source, tmp_path / "d", workers=1)
    assert done.before == 3
    align_pictures(source, tmp_path / "e")
    for name in ("chips.csv", "rejects.csv", "chips/a.jpg.chip.jpg", "align.json"):
        assert (tmp_path / "d" / name).read_bytes() == (tmp_path / "e" / name).read_bytes()
    assert not (tmp_path / "d/.align").exists()


def test_unusable_sources_raise(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", {"b.jpg": b"no picture"})
    for source, dest, error, message in (
        ("none", "d", SourceError, "no such file or folder"),
        ("s", "d", DatasetError, "no face in 's': 1 files rejected"),
        ("s", "s/d", SourceError, "lies in the source"),
        ("s", "", DatasetError, "is not empty"),
    ):
        with pytest.raises(error, match=message):
            align_pictures(tmp_path / source, tmp_path / dest)


def test_labels_come_along(tmp_path: Path, astronaut: Picture) -> None:
    table = b"File,Age,Gender,Person\nin/a.png,38,f,eve\nb.png,39,f,eve\ngone.png,7,m,bob\n"
    files = {"in/a.png": encoded(astronaut), "b.png": encoded(astronaut[:, ::-1].copy())}
    source = write_folder(tmp_path / "photos", files | {"labels.csv": table})
    done = align_pictures(source, tmp_path / "aligned")
    assert (done.chips, done.rejects) == (2, 0)
    carried = tmp_path / "aligned" / "chips" / "labels.csv"
    assert carried.read_text("utf-8").splitlines() == [
        "file,age,gender,person", "in/a.png.chip.jpg,38,f,eve", "b.png.chip.jpg,39,f,eve",
    ]  # fmt: skip
    dataset = import_dataset(tmp_path / "aligned" / "chips", tmp_path / "dataset").dataset
    columns = dataset.samples.select("age", "gender", "subject").sort("age")
    assert columns.rows() == [(38, "female", "eve"), (39, "female", "eve")]
