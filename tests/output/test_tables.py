import csv
import io
import json
import stat
from pathlib import Path

import numpy as np
import pytest

from agelens.errors import SourceError
from agelens.output.tables import COLUMNS, WRITERS, replacing
from agelens.results import Box, Gender, Landmarks, Prediction, Reason, Status

AGES = np.full(117, 1 / 117, np.float32)


def person(age: float = 34.216, female: float = 0.91234) -> Prediction:
    points = Landmarks.from_array(np.arange(10.0).reshape(5, 2))
    gender = Gender.FEMALE if female >= 0.5 else Gender.MALE
    unsure = (Status.UNSURE, (Reason.AGE_UNCLEAR,)) if age > 30 else (Status.OK, ())
    box = Box(10.04, 20.0, 110.06, 150.0)
    return Prediction(
        age, (28.04, 41.96), AGES, gender, female, box, points, 0.93456, *unsure, 0.30004
    )


def written(form: str, *inputs: tuple[str, list[Prediction], str | None]) -> str:
    stream = io.StringIO()
    out = WRITERS[form](stream)
    for name, people, error in inputs:
        out.add(name, people, error)
    out.close()
    return stream.getvalue()


THREE = (
    ("two.jpg", [person(), person(8.0, 0.2)], None), ("none.jpg", [], None),
    ("bad.jpg", [], "not a picture"),
)  # fmt: skip


def test_json_lines() -> None:
    two, none, bad = map(json.loads, written("jsonl", *THREE).splitlines())
    assert two["file"] == "two.jpg"
    assert two["faces"][0] == {
        "age": 34.22, "age_interval": [28.04, 41.96], "gender": "female",
        "female_probability": 0.9123, "status": "unsure", "reasons": ["age_unclear"], "doubt": 0.3,
        "box": [10.0, 20.0, 110.1, 150.0], "landmarks": [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]],
        "detection_score": 0.9346,
    }  # fmt: skip
    assert two["faces"][1]["gender"] == "male"
    assert none == {"file": "none.jpg", "faces": []}
    assert bad == {"file": "bad.jpg", "faces": [], "error": "not a picture"}


def test_json_is_the_array_of_the_lines() -> None:
    lines = [json.loads(line) for line in written("jsonl", *THREE).splitlines()]
    assert json.loads(written("json", *THREE)) == lines
    assert json.loads(written("json")) == []


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", *THREE))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["file"], row["face"], row["age"]) for row in rows] == [
        ("two.jpg", "1", "34.22"), ("two.jpg", "2", "8.0"), ("none.jpg", "0", ""),
        ("bad.jpg", "0", ""),
    ]  # fmt: skip
    assert (rows[0]["age_low"], rows[0]["right"]) == ("28.04", "110.1")
    assert (rows[0]["status"], rows[0]["reasons"]) == ("unsure", "age_unclear")
    assert rows[3]["error"] == "not a picture"


def test_probabilities_over_an_age_are_written_on_request() -> None:
    stream = io.StringIO()
    for form in ("jsonl", "csv", "table"):
        out = WRITERS[form](stream, over=(18, 100))
        out.add("a.jpg", [person()])
        out.close()
    line, heading, row, *table = stream.getvalue().splitlines()
    face = json.loads(line)["faces"][0]
    assert (face["p_over_18"], face["p_over_100"]) == (round(99 / 117, 4), round(17 / 117, 4))
    assert heading.endswith(",p_over_18,p_over_100") and row.endswith(",0.8462,0.1453")
    assert "18 or over" in table[1] and "85%" in table[3]


def test_the_table_shows_every_person_and_plain_names() -> None:
    text = written("table", ("a[bold]b.jpg", [person(), person(8.0, 0.2)], None), THREE[1])
    for words in ("a[bold]b.jpg", "woman, 34 (28-42)", "female 91%", "male 80%", "no face found",
                  "100 x 130", "unsure (age unclear)"):  # fmt: skip
        assert words in text
    assert written("table") == ""


def test_files_are_replaced_completely_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    file.write_text("old")
    with pytest.raises(RuntimeError), replacing(file) as stream:
        stream.write("half")
        raise RuntimeError
    with replacing(file) as stream:
        stream.write("new\n")
        assert file.read_text() == "old"
    assert file.read_bytes() == b"new\n" and list(tmp_path.iterdir()) == [file]
    (tmp_path / "usual").touch()
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot write"), replacing(tmp_path / "no" / "x.csv"):
        pass


SEEN = {
    "person": 4, "views": 9, "first_frame": 3, "last_frame": 30,
    "first_time": 0.12, "last_time": 1.2,
}  # fmt: skip


@pytest.mark.parametrize("form", list(WRITERS))
def test_people_of_clips_have_times_and_view_counts(form: str) -> None:
    stream = io.StringIO()
    out = WRITERS[form](stream, clips=True)
    out.add("a.jpg", [person()])
    out.add("a.mp4", [person()], about={"frame": 3, "time": 0.12}, each=[{"person": 4}])
    out.add("a.mp4", [person()], about={"seconds": 2.0, "frames": 10}, each=[SEEN])
    out.close()
    text = stream.getvalue()
    if form == "table":
        assert "0.1-1.2 s, 9 views" in text and "a.mp4 at 0.12 s" in text
        return
    if form == "csv":
        picture, frame, whole = csv.DictReader(text.splitlines())
        assert (picture["face"], frame["face"], whole["face"]) == ("1", "4", "4")
        assert (frame["frame"], frame["time"], frame["views"]) == ("3", "0.12", "")
        assert (whole["frame"], whole["views"], whole["last_time"]) == ("", "9", "1.2")
        return
    lines = json.loads(text) if form == "json" else map(json.loads, text.splitlines())
    picture, frame, whole = lines
    assert "person" not in picture["faces"][0]
    assert (frame["frame"], frame["time"], frame["faces"][0]["person"]) == (3, 0.12, 4)
    assert (whole["seconds"], whole["frames"]) == (2.0, 10)
    assert whole["faces"][0].items() >= SEEN.items() and whole["faces"][0]["age"] == 34.22
