import signal
import subprocess
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

from agelens import __version__
from agelens.cli.app import app
from labelled import faces, write_folder


def agelens(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agelens", *words], capture_output=True, text=True, check=False
    )


def test_version_and_help() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == f"agelens {__version__}"
    said = CliRunner().invoke(app, ["--help"]).stdout
    for command in ("predict", "data", "train", "export", "evaluate", "backbones"):
        assert command in said


def test_a_mistake_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = agelens("data", "import", str(tmp_path / "none"), str(tmp_path / "out"))
    assert done.returncode in (1, 2)
    assert done.stderr.strip().startswith("error: ")
    assert str(tmp_path / "none") in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_command_ends_with_2() -> None:
    done = agelens("predcit")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "many", faces(1500))
    words = [sys.executable, "-m", "agelens", "data", "import", str(source), str(tmp_path / "out")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "run the same command again" in said
    assert agelens(*words[3:]).returncode == 0
