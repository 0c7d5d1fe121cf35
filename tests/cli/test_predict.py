"""`agelens predict`: formats, files, exit codes, one line per failure."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def predict(agelens, tiny_model: Path) -> Callable[..., "CompletedProcess[str]"]:
    """Run `agelens predict WORDS...` with the tiny model."""
    return lambda *words: agelens("predict", *words, "--model", tiny_model, "--threads", "1")


def test_the_table(predict, astronaut_path: Path) -> None:
    done = predict(astronaut_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "astronaut.jpg" in done.stdout
    assert "male" in done.stdout


def test_a_piped_table_keeps_long_names_whole(
    predict, tmp_path: Path, astronaut_path: Path
) -> None:
    picture = tmp_path / ("a" * 60) / ("b" * 90 + ".jpg")
    picture.parent.mkdir()
    picture.write_bytes(astronaut_path.read_bytes())
    done = predict(picture)
    assert done.returncode == 0
    assert str(picture) in done.stdout


def test_json_lines(predict, astronaut_path: Path, group_path: Path) -> None:
    done = predict(astronaut_path, group_path, "--format", "jsonl")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [len(line["faces"]) for line in lines] == [1, 9]


def test_failed_inputs_are_reported_and_the_others_predicted(
    predict, tmp_path, astronaut_path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "b.jpg").write_bytes(astronaut_path.read_bytes())
    (tmp_path / "c.png").write_bytes(b"")
    done = predict(tmp_path, "-f", "json", "--no-flip")
    assert done.returncode == 1
    assert [len(answer["faces"]) for answer in json.loads(done.stdout)] == [0, 1, 0]
    first, second = done.stderr.splitlines()
    assert "a.jpg" in first
    assert "c.png" in second


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no/such.jpg"], "no/such.jpg"),
        (["no/such/*.jpg"], "matches"),
        (["PICTURE", "--format", "xml"], "xml"),
        (["PICTURE", "--longest", "5"], "longest"),
        ([], "PATH"),
    ],
)
def test_wrong_usage_ends_with_2(predict, astronaut_path, words: list[str], message: str) -> None:
    done = predict(*[astronaut_path if word == "PICTURE" else word for word in words])
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_model_ends_with_2(agelens, astronaut_path: Path) -> None:
    done = agelens("predict", astronaut_path, "--model", "nothing")
    assert done.returncode == 2
    assert "'nothing'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_output_replaces_a_file_once_complete(predict, tmp_path, astronaut_path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    done = predict(astronaut_path, "-f", "csv", "--output", file)
    assert (done.returncode, done.stdout) == (0, "")
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert row["file"] == str(astronaut_path)
    assert float(row["age"]) > 0
    assert [item.name for item in tmp_path.iterdir()] == ["out.csv"]


def test_output_does_not_replace_an_input(predict, tmp_path, astronaut_path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(astronaut_path.read_bytes())
    done = predict(picture, "--output", picture)
    assert done.returncode == 2
    assert "inputs" in done.stderr
    assert picture.read_bytes() == astronaut_path.read_bytes()


def test_annotated_pictures_keep_names_and_spare_inputs(predict, tmp_path, astronaut_path) -> None:
    data = astronaut_path.read_bytes()
    for name in ("a.jpg", "sub/a.jpg", "sub/b.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert predict(tmp_path, "--annotate", tmp_path).returncode == 0
    assert (tmp_path / "a.jpg").read_bytes() == data
    assert {item.name for item in tmp_path.iterdir()} == {
        "sub", "a.jpg", "a-2.jpg", "a-3.jpg", "b.png"
    }  # fmt: skip
    annotated = np.asarray(Image.open(tmp_path / "b.png"))
    plain = np.asarray(Image.open(astronaut_path))
    assert annotated.shape == plain.shape
    assert 0.001 < (annotated != plain).any(axis=-1).mean() < 0.2


def test_all_annotated_pictures_can_be_png(predict, tmp_path, astronaut_path) -> None:
    assert predict(astronaut_path, "--annotate", tmp_path / "marked", "--png").returncode == 0
    with Image.open(tmp_path / "marked" / "astronaut.png") as annotated:
        assert annotated.format == "PNG"


def test_a_file_as_annotate_folder_is_a_usage_error(predict, tmp_path, astronaut_path) -> None:
    (tmp_path / "taken").write_text("")
    done = predict(astronaut_path, "--annotate", tmp_path / "taken")
    assert done.returncode == 2
    assert "taken" in done.stderr


def test_chips(predict, tmp_path, drawn_chip) -> None:
    for name, value in (("dark", 60), ("light", 240)):
        Image.fromarray(drawn_chip(value)).save(tmp_path / f"{name}.png")
    Image.new("RGB", (20, 30)).save(tmp_path / "oblong.png")
    done = predict(tmp_path, "--chips", "--format", "jsonl", "--flip")
    dark, light, oblong = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 1
    assert dark["faces"][0]["age"] < light["faces"][0]["age"]
    assert dark["faces"][0]["box"] is None
    assert "20 x 30" in oblong["error"]
    assert "oblong.png" in done.stderr


def test_standard_input(predict, astronaut_path: Path, monkeypatch) -> None:
    data = io.BytesIO(astronaut_path.read_bytes())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=data))
    done = predict("-", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["file"] == "-"
    assert len(answer["faces"]) == 1


def test_version(agelens) -> None:
    done = agelens("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("agelens ")
