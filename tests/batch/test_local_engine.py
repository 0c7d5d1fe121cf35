import os
import signal
from pathlib import Path

import polars as pl
import pytest

from agelens.batch import progress, worker
from agelens.batch.ledger import Plan
from agelens.batch.progress import CrashCounter, Progress
from agelens.batch.run import start
from agelens.batch.storage import Store
from agelens.batch.worker import Options
from agelens.errors import BatchError
from agelens.images.sources import Source
from batches import (
    CHIPS,
    kill_driver,
    part_times,
    prepare,
    read_status,
    rows,
    run_batch,
    sources,
    write_chips,
    write_shard,
)  # fmt: skip


def test_every_picture_once_and_again_nothing(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 40)
    (tmp_path / "in/bad.jpg").write_bytes(b"no picture")
    stamps = []
    for _ in range(2):
        counts = run_batch(tmp_path / "in", tmp_path / "out", tiny_model, workers=2).counts
        assert (counts.pictures, counts.faces, counts.errors) == (41, 40, 1)
        stamps.append(part_times(tmp_path / "out"))
    assert stamps[0] == stamps[1]
    assert sources(tmp_path / "out") == sorted([*paths, str(tmp_path / "in/bad.jpg")])
    status = read_status(tmp_path / "out")
    assert (status["state"], status["pictures"], status["share_done"]) == ("finished", 41, 1.0)
    ages = rows(tmp_path / "out").filter(pl.col("face") == 1).sort("source")["age"]
    assert ages[39] > ages[0]


def test_a_killed_worker_is_replaced(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 60)
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.counts.pictures >= 5 and not killed:
            killed.append(int(next(iter(progress.to_dict("running")["memory_mb"]))))
            os.kill(killed[0], signal.SIGKILL)

    done = run_batch(tmp_path / "in", tmp_path / "out", tiny_model, 1, kill)
    assert killed and (done.workers_lost, done.last_loss) == (1, "signal SIGKILL")
    assert sources(tmp_path / "out") == paths


def test_a_killed_driver_resumes(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 200)
    assert 0 < kill_driver(tmp_path, tiny_model, 1) < 13
    assert not (tmp_path / "out/manifest.json").exists()
    # The orphaned worker may still write a part that the new run writes too.
    run_batch(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths
    assert not list(tmp_path.glob("out/**/*.aside"))


def test_a_full_disk_stops_with_one_line_and_resumes(tmp_path, tiny_model, monkeypatch) -> None:
    paths = write_chips(tmp_path / "in", 100)
    sync, room = os.fsync, iter([True] * 6)

    def filling(file: int) -> None:
        if not next(room, False):
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr("os.fsync", filling)
    with pytest.raises(BatchError, match=r"No space left.*same command"):
        run_batch(tmp_path / "in", tmp_path / "out", tiny_model)
    monkeypatch.setattr("os.fsync", sync)
    assert 0 < len(sources(tmp_path / "out")) < 100
    assert not list(tmp_path.glob("out/**/.*aside"))
    run_batch(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths


def test_a_worker_that_cannot_write_stops_the_run(tmp_path: Path, tiny_model: Path) -> None:
    write_chips(tmp_path / "in", 3)
    blocked = tmp_path / "out/parts/part-0000000-000000.parquet"
    start(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), CHIPS)
    blocked.mkdir(parents=True)
    with pytest.raises(BatchError, match="cannot write"):
        run_batch(tmp_path / "in", tmp_path / "out", tiny_model, workers=1)
    blocked.rmdir()
    assert run_batch(tmp_path / "in", tmp_path / "out", tiny_model).counts.pictures == 3


def test_a_vanished_picture_has_a_row_and_a_vanished_source_comes_back(tmp_path, tiny_model):
    paths = write_chips(tmp_path / "in", 40)
    prepare(tmp_path, tiny_model)
    (tmp_path / "in").rename(tmp_path / "away")
    with pytest.raises(BatchError, match=r"gone or empty.*same command"):
        run_batch(tmp_path / "in", tmp_path / "out", tiny_model, workers=1)
    assert read_status(tmp_path / "out")["state"] == "failed"
    assert not list(tmp_path.glob("out/parts/*"))
    (tmp_path / "away").rename(tmp_path / "in")
    Path(paths[7]).unlink()
    counts = run_batch(tmp_path / "in", tmp_path / "out", tiny_model).counts
    assert (counts.pictures, counts.errors) == (40, 1)
    assert sources(tmp_path / "out") == paths


def test_a_corrupt_shard_says_so_and_the_others_go_on(tmp_path, tiny_model, monkeypatch) -> None:
    monkeypatch.setattr(worker, "MAX_PICTURES", 3)
    (tmp_path / "in").mkdir()
    names = [f"{number:02}" for number in range(8)]
    good = [write_shard(tmp_path / f"in/{name}.tar", names) for name in "abc"]
    bad = tmp_path / "in/b.tar"
    bad.write_bytes(bad.read_bytes()[: 5 * 4 * 512 + 100])
    assert run_batch(tmp_path / "in", tmp_path / "out", tiny_model).parts == 3 + 2 + 3
    assert sources(tmp_path / "out") == sorted([*good[0], *good[1][:5], str(bad), *good[2]])
    failed = rows(tmp_path / "out").filter(pl.col("status") == "error")["source"].to_list()
    assert failed == [str(bad)]


def test_a_shard_goes_on_at_the_first_slice_that_is_missing(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr(worker, "MAX_PICTURES", 4)
    named = write_shard(tmp_path / "s.tar", [f"{n:02}" for n in range(10)])
    run_batch(tmp_path / "s.tar", tmp_path / "out", tiny_model)
    first, *others = sorted(tmp_path.glob("out/parts/*"))
    stamps = part_times(tmp_path / "out")
    for lost in others:
        lost.unlink()
    run_batch(tmp_path / "s.tar", tmp_path / "out", tiny_model)
    again = part_times(tmp_path / "out")
    assert (len(others), again.keys(), again[first.name]) == (2, stamps.keys(), stamps[first.name])
    assert sources(tmp_path / "out") == named


def test_a_picture_that_fails_twice_is_left_out(tmp_path, tiny_model, monkeypatch) -> None:
    paths = write_chips(tmp_path / "in", 20)

    def failing(name: str, data: Path) -> Source:
        if name == paths[9]:
            raise RuntimeError("a decoder's own")
        return Source(name, data)

    monkeypatch.setattr(worker, "Source", failing)
    run_batch(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths
    (bad,) = rows(tmp_path / "out").filter(pl.col("status") == "error").rows(named=True)
    assert bad["source"] == paths[9] and "a decoder's own" in bad["error"]


def test_a_picture_at_which_processes_end_is_left_out_and_many_ends_stop_the_run() -> None:
    crashes = CrashCounter()
    for _ in range(2):
        assert crashes.excluded == {}
        crashes.add(3, "a.jpg", "signal SIGSEGV")
    assert "SIGSEGV" in crashes.excluded["a.jpg"]
    with pytest.raises(BatchError, match="unit 3"):
        for _ in range(progress.MAX_CRASHES_IN_UNIT):
            crashes.add(3, None, "code 1")


def test_another_model_in_the_same_place_is_refused(tmp_path: Path, tiny_model, make_model) -> None:
    write_chips(tmp_path / "in", 1)
    places = str(tmp_path / "in"), str(tmp_path / "out")
    start(*places, str(tiny_model), CHIPS)
    with pytest.raises(BatchError, match="another model"):
        start(*places, str(make_model({"name": "another"})), CHIPS)
    with pytest.raises(BatchError, match="another chips"):
        start(*places, str(tiny_model), Options())


def test_a_plan_that_was_cut_off_is_made_anew(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 5)
    start(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), CHIPS)
    (tmp_path / "out/plan").mkdir()
    (tmp_path / "out/plan/00000.parquet").write_bytes(b"half")
    run_batch(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths
    assert Plan(Store(str(tmp_path / "out"))).totals.pictures == 5
