import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agelens.batch.progress import Committed, Deferred, WorkerLost
from agelens.batch.ray_engine import _Actor, _UnitTracker
from agelens.batch.worker import Job
from agelens.errors import BatchError
from batches import part_times, prepare, rows, sources, write_chips


def events(job: Job, *units: int, tracker: _UnitTracker | None = None) -> list[Any]:
    tracker = tracker or _UnitTracker()
    actor = _Actor(job, None, lambda method, *args: getattr(tracker, method)(*args))
    messages = actor({"unit": list(units), "first": [0] * len(units)})
    return [pickle.loads(row["message"][0]) for row in messages]  # noqa: S301


def test_units_are_committed_and_not_done_again(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 40)
    job = prepare(tmp_path, tiny_model)
    first = events(job, 0, 1, 2)
    assert [event.part.pictures for event in first] == [16, 16, 8]
    assert sources(tmp_path / "out") == paths
    stamps = part_times(tmp_path / "out")
    again = events(job, 0, 1, 2)  # as Ray asks when a machine with results is lost
    assert [event.part.unit for event in again] == [0, 1, 2]
    assert stamps == part_times(tmp_path / "out")


def test_a_picture_at_which_workers_end_is_left_out(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 5)
    job = prepare(tmp_path, tiny_model)
    tracker = _UnitTracker()
    assert tracker.start_unit(0) == (False, {})
    started: list[str] = []
    record = tracker.start_picture

    def dies(unit: int, name: str) -> None:
        record(unit, name)
        started.append(name)
        if name == paths[3]:
            raise KeyboardInterrupt  # as SIGKILL: nothing of the worker runs after it

    tracker.start_picture = dies
    tracker.end_unit = lambda unit: None
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            events(job, 0, tracker=tracker)
    assert started == paths[:4] * 2
    lost, done = events(job, 0, tracker=tracker)
    assert (type(lost), type(done)) == (WorkerLost, Committed)
    assert (done.part.pictures, done.part.errors) == (5, 1)
    (bad,) = rows(tmp_path / "out").filter(pl.col("status") == "error").rows(named=True)
    assert bad["source"] == paths[3] and "ended twice" in bad["error"]


def test_a_gone_source_defers_and_another_model_is_refused(tmp_path, tiny_model, make_model):
    write_chips(tmp_path / "in", 3)
    job = prepare(tmp_path, tiny_model)
    (tmp_path / "in").rename(tmp_path / "away")
    (event,) = events(job, 0)
    assert isinstance(event, Deferred) and "gone or empty" in event.reason
    (error,) = events(replace(job, model=str(make_model({"name": "another"}))), 0)
    assert isinstance(error, BatchError) and "SHA-256" in str(error)
