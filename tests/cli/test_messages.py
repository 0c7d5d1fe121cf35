import json
import logging
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from agelens.cli import console
from labelled import faces, write_folder


def lines(done: "CompletedProcess[str]") -> list[dict]:
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_json_logs_are_objects_of_one_form(agelens, tmp_path: Path, tiny_model: Path) -> None:
    for name in "abc":
        Image.new("RGB", (60, 60)).save(tmp_path / f"{name}.png")
    (tmp_path / "d.png").write_bytes(b"no picture")
    words = ["predict", tmp_path, "--model", tiny_model]
    done = agelens(*words, "--format", "jsonl", "--json-logs")
    assert done.returncode == 1
    printed = lines(done)
    assert all({"time", "level", "message"} <= set(line) for line in printed)
    (error,) = [line for line in printed if line["level"] == "error"]
    assert "d.png" in error["message"]
    steps = [line for line in printed if line["level"] == "progress"]
    assert {line["message"] for line in steps} == {"predicting"}
    assert steps[-1]["done"] == steps[-1]["total"] == 4
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 4  # results as ever
    quiet = agelens(*words, "--quiet", "--json-logs")
    assert [line["level"] for line in lines(quiet)] == ["error"]
    (fatal,) = lines(agelens("predict", "none.jpg", "--json-logs"))
    assert fatal["level"] == "error" and "no such file" in fatal["message"]


def test_options_and_environment_set_messages_of_one_command(agelens, tmp_path, monkeypatch):
    source = write_folder(tmp_path / "source", faces(12))
    console.configure(quiet=True, json_logs=True)  # as an earlier command in this process
    loud = agelens("data", "import", source, tmp_path / "a")
    silent = agelens("data", "import", source, tmp_path / "b", "-q")
    assert loud.returncode == silent.returncode == 0
    assert loud.stderr and "{" not in loud.stderr and not silent.stderr
    assert len(silent.stdout.splitlines()) == len(loud.stdout.splitlines())
    with monkeypatch.context() as patch:
        patch.setenv("AGELENS_JSON_LOGS", "1")
        printed = agelens("data", "import", source, tmp_path / "c")
        assert {line["level"] for line in lines(printed)} >= {"progress", "info"}
        patch.setenv("AGELENS_QUIET", "1")
        assert agelens("data", "import", source, tmp_path / "d").stderr == ""


@pytest.fixture
def reset_messages():
    yield
    console.configure(quiet=False, json_logs=False)


def test_progress_lines_are_limited_to_one_a_second(capsys, monkeypatch, reset_messages) -> None:
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    console.configure(quiet=False, json_logs=True)
    with console.bar() as bar:
        task = bar.add_task("reading", total=1000)
        for _ in range(1000):
            now += 0.01
            bar.advance(task)
        bar.update(task, description="writing", completed=0, total=5)
    printed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    reading = [line["done"] for line in printed if line["message"] == "reading"]
    assert reading[0] == 1 and reading[-1] == 1000
    assert len(reading) == pytest.approx(11, abs=1)  # ten seconds
    assert printed[-1] | {"time": ""} == {
        "time": "", "level": "progress", "message": "writing", "done": 0, "total": 5,
    }  # fmt: skip


def test_log_records_are_printed_as_lines(capsys, reset_messages) -> None:
    logger = logging.getLogger("test of lines")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(console.LogLines())
    console.configure(quiet=False, json_logs=True)
    logger.info("served [%s]", "a.jpg")
    printed = json.loads(capsys.readouterr().err)
    assert (printed["level"], printed["message"]) == ("info", "served [a.jpg]")
    assert printed["logger"] == "test of lines"
    console.configure(quiet=True, json_logs=False)
    logger.info("nothing")
    logger.warning("served [%s]", "b.jpg")
    printed = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\S+ WARNING served \[b.jpg\]\n", printed)
