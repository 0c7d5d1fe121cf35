"""`agelens predict`: formats, files, exit codes, one line per failure."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from agelens.cli import app as command_line


@pytest.fixture
def run(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `agelens predict WORDS...` in this process; give (exit code, out, err)."""

    def call(*words: object) -> tuple[int, str, str]:
        argv = ["agelens", "predict", *map(str, words), "--model", str(tiny_model)]
        monkeypatch.setattr(sys, "argv", [*argv, "--threads", "1"])
        with pytest.raises(SystemExit) as end:
            command_line.main()
            raise SystemExit(0)
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


def test_the_table(run, astronaut_path: Path) -> None:
    code, out, err = run(astronaut_path)
    assert code == 0
    assert err == ""
    assert "astronaut.jpg" in out
    assert "male" in out


def test_a_piped_table_keeps_long_names_whole(run, tmp_path: Path, astronaut_path: Path) -> None:
    picture = tmp_path / ("a" * 60) / ("b" * 90 + ".jpg")
    picture.parent.mkdir()
    picture.write_bytes(astronaut_path.read_bytes())
    code, out, _ = run(picture)
    assert code == 0
    assert str(picture) in out


def test_json_lines(run, astronaut_path: Path, group_path: Path) -> None:
    code, out, _ = run(astronaut_path, group_path, "--format", "jsonl")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [len(line["faces"]) for line in lines] == [1, 9]


def test_some_inputs_fail_and_the_others_are_answered(run, tmp_path, astronaut_path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "b.jpg").write_bytes(astronaut_path.read_bytes())
    (tmp_path / "c.png").write_bytes(b"")
    code, out, err = run(tmp_path, "-f", "json", "--no-flip")
    answers = json.loads(out)
    assert code == 1
    assert [len(answer["faces"]) for answer in answers] == [0, 1, 0]
    assert len(err.splitlines()) == 2
    assert "a.jpg" in err.splitlines()[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["no/such.jpg"], "no/such.jpg"),
        (["no/such/*.jpg"], "matches"),
        (["PICTURE", "--format", "xml"], "xml"),
        (["PICTURE", "--longest", "5"], "longest"),
        ([], "PATH"),
    ],
)
def test_wrong_calls_end_with_2(run, astronaut_path, words: list[str], says: str) -> None:
    code, out, err = run(*[str(astronaut_path) if w == "PICTURE" else w for w in words])
    assert code == 2
    assert out == ""
    assert says in err
    assert "Traceback" not in err


def test_an_unknown_model_ends_with_2(astronaut_path: Path) -> None:
    done = agelens("predict", str(astronaut_path), "--model", "nothing")
    assert done.returncode == 2
    assert "'nothing'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_output_takes_the_place_of_a_file_once_whole(run, tmp_path, astronaut_path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    code, out, _ = run(astronaut_path, "-f", "csv", "--output", file)
    assert (code, out) == (0, "")
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert row["file"] == str(astronaut_path)
    assert float(row["age"]) > 0
    assert [item.name for item in tmp_path.iterdir()] == ["out.csv"]


def test_output_does_not_replace_an_input(run, tmp_path, astronaut_path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(astronaut_path.read_bytes())
    code, _, err = run(picture, "--output", picture)
    assert code == 2
    assert "inputs" in err
    assert picture.read_bytes() == astronaut_path.read_bytes()


def test_annotated_pictures_keep_names_and_spare_inputs(run, tmp_path, astronaut_path) -> None:
    data = astronaut_path.read_bytes()
    for name in ("a.jpg", "sub/a.jpg", "sub/b.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    code, _, _ = run(tmp_path, "--annotate", tmp_path)
    assert code == 0
    assert (tmp_path / "a.jpg").read_bytes() == data
    assert {item.name for item in tmp_path.iterdir()} == {
        "sub", "a.jpg", "a-2.jpg", "a-3.jpg", "b.png"
    }  # fmt: skip
    marked = np.asarray(Image.open(tmp_path / "b.png"))
    plain = np.asarray(Image.open(astronaut_path))
    assert marked.shape == plain.shape
    changed = (marked != plain).any(axis=-1)
    assert 0.001 < changed.mean() < 0.2


def test_annotated_pictures_can_all_be_png(run, tmp_path, astronaut_path) -> None:
    code, _, _ = run(astronaut_path, "--annotate", tmp_path / "marked", "--png")
    assert code == 0
    with Image.open(tmp_path / "marked" / "astronaut.png") as marked:
        assert marked.format == "PNG"


def test_annotate_where_a_file_stands_is_a_usage_error(run, tmp_path, astronaut_path) -> None:
    (tmp_path / "taken").write_text("")
    code, _, err = run(astronaut_path, "--annotate", tmp_path / "taken")
    assert code == 2
    assert "taken" in err


def test_chips(run, tmp_path, drawn_chip) -> None:
    for name, value in (("dark", 60), ("light", 240)):
        Image.fromarray(drawn_chip(value)).save(tmp_path / f"{name}.png")
    Image.new("RGB", (20, 30)).save(tmp_path / "oblong.png")
    code, out, err = run(tmp_path, "--chips", "--format", "jsonl", "--flip")
    dark, light, oblong = (json.loads(line) for line in out.splitlines())
    assert code == 1
    assert dark["faces"][0]["age"] < light["faces"][0]["age"]
    assert dark["faces"][0]["box"] is None
    assert "20 x 30" in oblong["error"]
    assert "oblong.png" in err


def agelens(*words: str, given: bytes | None = None) -> "subprocess.CompletedProcess[str]":
    code = "from agelens.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], input=given, capture_output=True, check=False
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_standard_input(tiny_model: Path, astronaut_path: Path) -> None:
    done = agelens("predict", "-", "--format", "jsonl", "--model", str(tiny_model),
                   given=astronaut_path.read_bytes())  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["file"] == "-"
    assert len(answer["faces"]) == 1


def test_version() -> None:
    result: Result = CliRunner().invoke(command_line.app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("agelens ")
