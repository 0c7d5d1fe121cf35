import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agelens.batch.run import estimate
from batches import CHIPS, here, read_status, sources, write_chips, write_shard


def test_ctrl_c_stops_and_the_same_command_continues(agelens, tmp_path, tiny_model) -> None:
    paths = write_chips(tmp_path / "in", 150)
    words = ["batch", tmp_path / "in", "-o", tmp_path / "out", "--chips", "-m", tiny_model]
    call = [sys.executable, "-m", "agelens", *map(str, words), "-w", "1"]
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("out/parts/*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in stderr
    assert read_status(tmp_path / "out")["state"] == "stopped"
    assert 0 < len(sources(tmp_path / "out")) < 150
    with here():
        done = agelens(*words)
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "out/parts")), done.stderr
    assert done.stderr.strip() == "150 pictures, 150 faces, 0 errors in 10 parts"
    assert sources(tmp_path / "out") == paths


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none", "-o", "out"], "no such file or folder: 'none'"),
        (["in", "-o", "out", "--engine", "spark"], "spark"),
        (["in", "-o", "out", "--address", "a:1"], "--engine ray"),
        (["in", "-o", "in"], "no run of"),
        (["in", "-o", "out", "-m", "nothing"], "'nothing'"),
    ],
)
def test_mistakes_are_one_line(agelens, tmp_path, monkeypatch, words, message: str) -> None:
    write_chips(tmp_path / "in", 1)
    (tmp_path / "in/list.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    done = agelens("batch", *words)
    assert done.returncode in (1, 2) and message in done.stderr


def test_a_dry_run_counts_and_writes_nothing(agelens, tmp_path: Path, tiny_model: Path) -> None:
    write_chips(tmp_path / "in", 12)
    words = [tmp_path / "in", "-o", tmp_path / "out", "--chips", "-m", tiny_model, "-w", 3]
    first, sample, needed = agelens("batch", *words, "--dry-run").stdout.splitlines()
    assert first == "12 pictures" and needed.startswith("3 workers: ")
    assert "a sample of 12: 1.00 faces a picture, 0.0% errors" in sample
    assert not (tmp_path / "out").exists()


def test_pictures_in_shards_are_estimated_by_bytes(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(12):
        write_shard(tmp_path / f"in/{number:02}.tar", [f"{n:03}" for n in range(100)])
    found = estimate(str(tmp_path / "in"), str(tiny_model), CHIPS, lambda count: None)
    assert (found.shards, found.sample, found.errors) == (12, 200, 0)
    # Labels lie beside the pictures, so that half of the bytes are not theirs.
    assert 1200 <= found.pictures <= 2600
