"""The local engine: every picture once, whatever is killed, full, gone or damaged."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from agelens.batch import local_engine, losses, pipeline, plan
from agelens.batch import run as running
from agelens.batch.ledger import Ledger
from agelens.batch.pipeline import Pipeline
from agelens.batch.run import Engine, Options
from agelens.batch.status import Progress
from agelens.errors import BatchError
from batches import CHIPS, answer, rows, sources, write_chips, write_shard

KILLED = """
import sys, time
from agelens.batch import local_engine, run
from agelens.batch.run import Engine, Options

if __name__ == "__main__":
    store, job = run.begin(*sys.argv[1:4], Options(chips=True))
    with store.alone():
        run.run(store, job, Engine("local", 1), lambda n: None, lambda p: None)
"""


def inside(source: object, output: object, model: object, options: Options = CHIPS) -> list[object]:
    """Answer all that is pending in this process, as a worker does; give the parts."""
    store, job = running.begin(str(source), str(output), str(model), options)
    units = running._plan(store, job, lambda count: None)
    worker = Pipeline(job)
    done: list[object] = []
    for number, begin in Ledger(store).pending(units.totals.units):
        done += worker.work(units.unit(number), begin, lambda *counts: None)
    return done


def test_every_picture_once_and_again_nothing(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 40)
    (tmp_path / "in/bad.jpg").write_bytes(b"no picture")
    first = answer(tmp_path / "in", tmp_path / "out", tiny_model, workers=2)
    assert sources(tmp_path / "out") == sorted([*paths, str(tmp_path / "in/bad.jpg")])
    assert (first.pictures, first.faces, first.errors) == (41, 40, 1)
    stamps = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out/parts").iterdir()}
    again = answer(tmp_path / "in", tmp_path / "out", tiny_model, workers=2)
    assert (again.pictures, again.faces, again.errors) == (41, 40, 1)
    assert stamps == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out/parts").iterdir()}
    said = running.read_status(str(tmp_path / "out"))
    assert (said["state"], said["pictures"], said["share_done"]) == ("finished", 41, 1.0)
    ages = rows(tmp_path / "out").filter(pl.col("face") == 1).sort("source")["age"]
    assert ages[39] > ages[0]


def test_a_killed_worker_is_replaced(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_chips(tmp_path / "in", 60)
    killed: list[int] = []
    start = local_engine._Worker.__init__

    def watched(self: local_engine._Worker, *given: object) -> None:
        start(self, *given)  # type: ignore[arg-type]
        crew.append(self)

    crew: list[local_engine._Worker] = []
    monkeypatch.setattr(local_engine._Worker, "__init__", watched)

    def watch(progress: Progress) -> None:
        if progress.pictures >= 5 and not killed:
            killed.append(crew[0]._process.pid or 0)
            os.kill(killed[0], signal.SIGKILL)

    store, job = running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), CHIPS)
    with store.alone():
        done = running.run(store, job, Engine("local", 1), lambda count: None, watch)
    assert killed
    assert (done.lost, done.last_loss) == (1, "signal SIGKILL")
    assert sources(tmp_path / "out") == paths


def test_a_killed_driver_resumes(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 200)
    (tmp_path / "driver.py").write_text(KILLED)
    words = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "in")]
    words += [str(tmp_path / "out"), str(tiny_model)]
    with subprocess.Popen(words) as driver:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("out/parts/*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.005)
        driver.kill()
    some = len(list(tmp_path.glob("out/parts/*.parquet")))
    assert 0 < some < 13
    assert not (tmp_path / "out/manifest.json").exists()
    # The orphaned worker may still put a part in its place, which the new run would put too.
    answer(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths
    assert not list(tmp_path.glob("out/**/*.aside"))


def test_a_full_disk_stops_with_one_line_and_resumes(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_chips(tmp_path / "in", 100)
    sync, room = os.fsync, iter([True] * 6)

    def filling(file: int) -> None:
        if not next(room, False):
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr("os.fsync", filling)
    with pytest.raises(BatchError, match=r"No space left.*same command"):
        inside(tmp_path / "in", tmp_path / "out", tiny_model)
    monkeypatch.setattr("os.fsync", sync)
    assert 0 < len(sources(tmp_path / "out")) < 100
    assert not list(tmp_path.glob("out/**/.*aside"))
    inside(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths


def test_a_worker_that_cannot_write_stops_the_run(tmp_path: Path, tiny_model: Path) -> None:
    write_chips(tmp_path / "in", 3)
    running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), CHIPS)
    (tmp_path / "out/parts/part-0000000-000000.parquet").mkdir(parents=True)
    with pytest.raises(BatchError, match="cannot write"):
        answer(tmp_path / "in", tmp_path / "out", tiny_model)
    (tmp_path / "out/parts/part-0000000-000000.parquet").rmdir()
    assert answer(tmp_path / "in", tmp_path / "out", tiny_model).pictures == 3


def test_a_vanished_picture_has_a_row_and_a_vanished_source_comes_back(
    tmp_path: Path, tiny_model: Path
) -> None:
    paths = write_chips(tmp_path / "in", 40)
    store, job = running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), CHIPS)
    running._plan(store, job, lambda count: None)
    (tmp_path / "in").rename(tmp_path / "away")
    with pytest.raises(BatchError, match=r"gone or empty.*same command"):
        answer(tmp_path / "in", tmp_path / "out", tiny_model)
    assert running.read_status(str(tmp_path / "out"))["state"] == "failed"
    assert not list(tmp_path.glob("out/parts/*"))
    (tmp_path / "away").rename(tmp_path / "in")
    Path(paths[7]).unlink()
    done = answer(tmp_path / "in", tmp_path / "out", tiny_model)
    assert (done.pictures, done.errors) == (40, 1)
    assert sources(tmp_path / "out") == paths


def test_a_corrupt_shard_says_so_and_the_others_go_on(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "LARGEST", 3)
    (tmp_path / "in").mkdir()
    good = [
        write_shard(tmp_path / f"in/{name}.tar", [f"{n:02}" for n in range(8)]) for name in "abc"
    ]
    data = (tmp_path / "in/b.tar").read_bytes()
    (tmp_path / "in/b.tar").write_bytes(data[: 5 * 4 * 512 + 100])
    parts = inside(tmp_path / "in", tmp_path / "out", tiny_model)
    assert len(parts) == 3 + 2 + 3
    whole = [*good[0], *good[1][:5], str(tmp_path / "in/b.tar"), *good[2]]
    assert sources(tmp_path / "out") == sorted(whole)
    assert rows(tmp_path / "out").filter(pl.col("status") == "error")["source"].to_list() == [
        str(tmp_path / "in/b.tar")
    ]


def test_a_shard_goes_on_at_the_first_slice_that_is_missing(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "LARGEST", 4)
    named = write_shard(tmp_path / "s.tar", [f"{n:02}" for n in range(10)])
    inside(tmp_path / "s.tar", tmp_path / "out", tiny_model)
    for lost in sorted(tmp_path.glob("out/parts/*"))[1:]:
        lost.unlink()
    again = inside(tmp_path / "s.tar", tmp_path / "out", tiny_model)
    assert len(again) == 2
    assert sources(tmp_path / "out") == named


def test_a_picture_that_fails_twice_is_left_out(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_chips(tmp_path / "in", 20)

    def predictor(job: pipeline.Job) -> object:
        loaded = pipeline.load(job.model, threads=1)
        stream = loaded.predict_stream

        def failing(given: Iterator[object], **options: bool) -> Iterator[object]:
            def checked() -> Iterator[object]:
                for source in given:
                    if source.name == paths[9]:  # type: ignore[attr-defined]
                        raise RuntimeError("a decoder's own")
                    yield source

            return stream(checked(), **options)  # type: ignore[arg-type]

        monkeypatch.setattr(loaded, "predict_stream", failing)
        return loaded

    monkeypatch.setattr(pipeline, "predictor", predictor)
    inside(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths
    (bad,) = rows(tmp_path / "out").filter(pl.col("status") == "error").rows(named=True)
    assert bad["source"] == paths[9]
    assert "a decoder's own" in bad["error"]


def test_a_picture_at_which_processes_end_is_left_out_and_many_ends_stop_the_run() -> None:
    ended = losses.Losses()
    ended.note(3, "a.jpg", "signal SIGSEGV")
    assert ended.deadly == {}
    ended.note(3, "a.jpg", "signal SIGSEGV")
    assert "SIGSEGV" in ended.deadly["a.jpg"]
    with pytest.raises(BatchError, match="unit 3"):
        for _ in range(losses.MOST_LOST):
            ended.note(3, None, "code 1")


def test_another_model_in_the_same_place_is_refused(tmp_path: Path, tiny_model, make_model) -> None:
    write_chips(tmp_path / "in", 1)
    running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), CHIPS)
    other = make_model({"name": "another"})
    with pytest.raises(BatchError, match="another model"):
        running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(other), CHIPS)
    with pytest.raises(BatchError, match="another chips"):
        running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), Options())


def test_a_plan_that_was_cut_off_is_made_anew(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 5)
    running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(tiny_model), CHIPS)
    (tmp_path / "out/plan").mkdir()
    (tmp_path / "out/plan/00000.parquet").write_bytes(b"half")
    inside(tmp_path / "in", tmp_path / "out", tiny_model)
    assert sources(tmp_path / "out") == paths
    assert plan.Plan(running.open_store(str(tmp_path / "out"))).totals.pictures == 5
