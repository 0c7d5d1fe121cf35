"""The command line as a whole: groups, version, mistakes, Ctrl-C."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agelens import __version__
from agelens.cli.app import GROUPS
from agelens.data.importer import import_dataset
from labelled import faces, write_folder


def test_version_and_help(agelens) -> None:
    assert agelens("--version").stdout.strip() == f"agelens {__version__}"
    text = agelens("--help").stdout
    assert text.index("Use a model") < text.index("Prepare data") < text.index("Make a model")
    places = [text.index(f"│ {name} ") for names in GROUPS.values() for name in names]
    assert places == sorted(places)
    example = "agelens data import UTKFace.tar.gz utkface"
    assert example in agelens("data", "import", "--help").stdout


def test_a_mistake_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    words = ["data", "import", str(tmp_path / "none"), str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "agelens", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: no such file or folder")
    assert str(tmp_path / "none") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["predcit"], "'predict'"), (["predict", "a.jpg", "--fromat", "csv"], "--format")],
)
def test_a_typo_ends_with_2_and_a_suggestion(agelens, words: list[str], meant: str) -> None:
    done = agelens(*words)
    assert done.returncode == 2
    assert meant in done.stderr


def test_ctrl_c_ends_with_130_and_says_how_to_continue(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "many", faces(400))
    words = [sys.executable, "-m", "agelens", "data", "import", str(source), str(tmp_path / "out")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "run the same command again" in stderr
    assert len(import_dataset(source, tmp_path / "out").dataset.samples) == 400
