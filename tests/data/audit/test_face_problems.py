from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

import explored
from agelens.data.audit import face_problems, files
from agelens.data.dataset import Dataset
from agelens.data.quality import POINTS, SCHEMA
from agelens.faces.alignment import TEMPLATE
from conftest import draw_chip
from drawn import write_dataset
from photos import encoded, photo

PORTRAIT = Path(__file__).parents[2] / "portrait_features.npz"


def test_files_that_are_not_what_was_imported(tmp_path) -> None:
    dataset = Dataset(write_dataset(tmp_path, 12))
    (dataset.folder / "rejects.csv").write_text("file,reason\nx.jpg,no age\n", "utf-8")
    gone, cut, other, *sound = dataset.samples["file"].to_list()
    folder = dataset.folder / "images"
    (folder / gone).unlink()
    (folder / cut).write_bytes((folder / cut).read_bytes()[:900])
    (folder / other).write_bytes(encoded(photo(1)))
    checked = files.check(dataset, lambda done, total: None)
    assert checked.faults[gone] == "missing from images/"
    assert "damaged or cut off" in checked.faults[cut]
    assert "changed since the import" in checked.faults[other]
    assert len(checked.faults) == 3
    assert checked.rejects == {"x.jpg": "no age"}
    assert checked.sound.tolist() == [file in sound for file in dataset.samples["file"]]
    assert (checked.hashes[checked.sound] != 0).any(axis=1).all()
    assert not checked.hashes[~checked.sound].any()


def test_black_beyond_the_edge_differs_from_a_dark_wall() -> None:
    chip = draw_chip(170)
    chip[chip.max(axis=2) < 60] = 60  # no black of its own
    assert files.beyond_edge(chip) == 0
    cut = chip.copy()
    corners = np.array([(0, 150), (200, 130), (200, 200), (0, 200)])
    cv2.fillConvexPoly(cut, corners, (0, 0, 0))
    assert 0.1 < files.beyond_edge(cut) < 0.3
    inside = chip.copy()
    cv2.circle(inside, (100, 100), 40, (0, 0, 0), -1)  # not at the edge
    assert files.beyond_edge(inside) == 0
    wall = np.zeros_like(chip)
    cv2.ellipse(wall, (98, 90), (45, 60), 0, 0, 360, (150, 120, 100), -1)  # a head,
    cv2.ellipse(wall, (98, 200), (95, 50), 0, 0, 360, (90, 90, 120), -1)  # and its shoulders
    assert (files.beyond_edge(wall), files.beyond_edge(np.zeros_like(chip))) == (0, 1)


def measured(*changes: dict[str, object]) -> pl.DataFrame:
    frame = explored.samples([30] * len(changes))
    sound = explored.measured(frame, sharpness=[50] * len(changes)).to_dicts()
    rows = [row | change for row, change in zip(sound, changes, strict=True)]
    return pl.DataFrame(rows, schema=SCHEMA)


def rows_of(found: dict[str, list[face_problems.FaceProblem]]) -> dict[str, list[int]]:
    return {name: [one.row for one in some] for name, some in found.items() if some}


OFF = {f"{p}_x": x + 30 for p, (x, _) in zip(POINTS, TEMPLATE.tolist(), strict=True)}
UNSEEN = dict.fromkeys(
    [name for name in SCHEMA if name in ("left", "top", "right", "bottom", "score", "roll")]
    + [f"{point}_{axis}" for point in POINTS for axis in "xy"]
)


@pytest.mark.parametrize(
    ("changes", "beyond", "problem", "evidence"),
    [
        ({"faces": 0, **UNSEEN}, 0, "no face", "no face found"),
        ({"faces": 3}, 0, "several faces", "3 faces found"),
        ({"left": 60, "right": 130, "top": 70, "bottom": 145}, 0, "tiny", "a face of 75 px"),
        ({"roll": -170}, 0, "upside down", "seen turned by -170 degrees"),
        ({"roll": 40}, 0, "turned", "seen turned by +40 degrees"),
        (OFF, 0, "misplaced", "five points 30 px off the template"),
        ({}, 0.12, "cut off", "12 % of the face's place"),
        ({"sharpness": 3.2}, 0, "blurred", "sharpness 3.2"),
        ({"colours": 0.5}, 0, "one tint", "colours spread by 0.5"),
    ],
)  # fmt: skip
def test_each_problem_is_found_alone(changes, beyond, problem, evidence) -> None:
    found = face_problems.find(measured({}, changes), np.array([0.0, beyond]))
    assert list(found) == [name for name in face_problems.MEANINGS if name != "looks painted"]
    assert rows_of(found) == {problem: [1]}
    assert evidence in found[problem][0].evidence


def test_faces_that_look_painted_are_ranked_where_the_network_was_run() -> None:
    limit = face_problems.shipped_lines().limit
    score = np.array([limit + 1, limit, limit + 2, limit + 9])
    found = face_problems.find(measured({}, {}, {}, {"faces": 0, **UNSEEN}), np.zeros(4), score)
    assert [one.row for one in found["looks painted"]] == [2, 0]  # a face must be there
    assert list(found) == list(face_problems.MEANINGS)
    assert "looks painted or drawn" in found["looks painted"][0].evidence


def test_grey_uncertain_and_unreadable_pictures_and_the_worst_first() -> None:
    uncertain = {"roll": -170, "score": 0.81}  # upside down
    table = measured(uncertain, uncertain | OFF)
    assert rows_of(face_problems.find(table, np.zeros(2))) == {"misplaced": [1]}
    unread = dict.fromkeys(SCHEMA) | {"file": "b.jpg", "problem": "cut"}
    table = measured({"grey": True, "colours": 0}, unread)
    assert not any(face_problems.find(table, np.zeros(2)).values())
    blurred = measured(*({"sharpness": s} for s in (5, 2, 5.5)))
    assert rows_of(face_problems.find(blurred, np.zeros(3))) == {"blurred": [1, 0, 2]}


def test_the_furthest_along_any_line_tells_drawings_from_a_photo() -> None:
    lines = face_problems.Lines(np.ones(2, np.float32), np.array([[2, 0], [0, 3]], np.float32), 1.0)
    features = np.array([[1, 1], [4, 1], [1, 9], [0, -5]])
    found = face_problems.painting_score(features, lines)
    assert found.tolist() == [0, 2, 6, -2]  # of roots 1 and 1, 2 and 1, 1 and 3, 0 and 0
    shipped = face_problems.shipped_lines()
    assert (shipped.weights.shape, shipped.mean.shape) == ((6, 1024), (1024,))
    assert np.isfinite(shipped.weights).all()
    assert (shipped.mean >= 0).all()
    assert 2 < shipped.limit < 10
    # features by faceres-deep of NASA's portrait, its cv2.pencilSketch and its cv2.stylization
    with np.load(PORTRAIT, allow_pickle=False) as kept:
        shown = np.stack([kept["photo"], kept["pencil"], kept["watercolour"]])
    photo, *pictures = face_problems.painting_score(shown)
    assert photo < shipped.limit < min(pictures)
