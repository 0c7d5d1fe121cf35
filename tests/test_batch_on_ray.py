"""What an actor of the Ray engine does, without a cluster; test_batch_ray.py has one."""

import json
from pathlib import Path

import pytest

from agelens.batch import on_ray
from agelens.batch import run as running
from agelens.batch.events import Committed, Deferred, Event
from agelens.batch.pipeline import Job
from agelens.errors import BatchError
from batches import CHIPS, sources, write_chips


def begin(tmp_path: Path, model: Path) -> Job:
    store, job = running.begin(str(tmp_path / "in"), str(tmp_path / "out"), str(model), CHIPS)
    running._plan(store, job, lambda count: None)
    return job


def events(job: Job, *units: int) -> list[Event]:
    actor = on_ray._Worker(job, None)
    told = actor({"unit": list(units), "begin": [0] * len(units)})
    return [on_ray._event(json.loads(row["event"][0])) for row in told]


def test_units_are_committed_and_not_done_again(tmp_path: Path, tiny_model: Path) -> None:
    paths = write_chips(tmp_path / "in", 40)
    job = begin(tmp_path, tiny_model)
    first = events(job, 0, 1, 2)
    assert [event.part.pictures for event in first if isinstance(event, Committed)] == [16, 16, 8]
    assert sources(tmp_path / "out") == paths
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/parts/*")}
    again = events(job, 0, 1, 2)  # as Ray asks when a machine with results is lost
    assert [event.part.unit for event in again if isinstance(event, Committed)] == [0, 1, 2]
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/parts/*")}


def test_a_source_that_is_gone_defers_its_unit(tmp_path: Path, tiny_model: Path) -> None:
    write_chips(tmp_path / "in", 3)
    job = begin(tmp_path, tiny_model)
    (tmp_path / "in").rename(tmp_path / "away")
    (event,) = events(job, 0)
    assert isinstance(event, Deferred)
    assert "gone or empty" in event.why


def test_another_model_on_a_machine_is_refused(tmp_path: Path, tiny_model, make_model) -> None:
    write_chips(tmp_path / "in", 3)
    job = begin(tmp_path, tiny_model)
    Path(job.model).rename(tmp_path / "kept.onnx")
    try:
        Path(job.model).write_bytes(Path(make_model({"name": "another"})).read_bytes())
        with pytest.raises(BatchError, match="SHA-256"):
            events(job, 0)
    finally:
        (tmp_path / "kept.onnx").replace(job.model)
