"""Small inputs for batch runs: flat chips, whose brightness the tiny model reads as an age."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agelens.batch.ledger import Unit
from agelens.batch.progress import Event, Progress
from agelens.batch.run import open_plan, run, start
from agelens.batch.storage import Store
from agelens.batch.worker import Job, Options, Worker
from photos import encoded

CHIPS = Options(chips=True)


@cache
def chip(brightness: int, side: int = 20) -> bytes:
    return encoded(np.full((side, side, 3), brightness, np.uint8), kind="PNG")


def write_chips(folder: Path, count: int, side: int = 20) -> list[str]:
    """Write chips of rising brightness to some subfolders; return their paths in order."""
    for number in range(count):
        file = folder / f"{number % 3}" / f"{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(chip(number % (256 if side < 100 else 8), side))
    return sorted(str(path) for path in folder.rglob("*.png"))


def write_shard(path: Path, names: list[str]) -> list[str]:
    """Write a tar in WebDataset's layout, a chip and a label for each name; return its sources."""
    with tarfile.open(path, "w") as archive:
        for number, name in enumerate(names):
            for suffix, data in ((".cls", b"1"), (".png", chip(number % 256))):
                member = tarfile.TarInfo(name + suffix)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return [f"{path}/{name}.png" for name in names]


def run_batch(
    source: object, output: object, model: object, workers: int = 0,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    engine: str = "local", address: str | None = None,
) -> Progress:  # fmt: skip
    """Run a batch to its end; without workers in this process, as one would."""
    job = start(str(source), str(output), str(model), CHIPS)
    with nullcontext() if workers else here():
        return run(job, lambda count: None, on_progress, engine, workers or None, address)


def kill_driver(folder: Path, model: Path, workers: int, **more: str) -> int:
    """Run a batch from `in` to `out` in a process that is killed; return how many parts it made."""
    places = [str(folder / "in"), str(folder / "out"), str(model)]
    (folder / "driver.py").write_text(
        "from batches import run_batch\n"
        f"if __name__ == '__main__':\n    run_batch(*{places}, {workers}, **{more})\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen([sys.executable, folder / "driver.py"], env=environment) as driver:
        deadline = time.monotonic() + 180
        while not list(folder.glob("out/parts/*.parquet")) and time.monotonic() < deadline:
            assert driver.poll() is None
            time.sleep(0.005)
        driver.kill()
    return len(list(folder.glob("out/parts/*.parquet")))


def prepare(folder: Path, model: Path) -> Job:
    """Start a run from `in` to `out` in a folder and make its plan; nothing is predicted."""
    job = start(str(folder / "in"), str(folder / "out"), str(model), CHIPS)
    open_plan(Store(job.output), job, lambda count: None)
    return job


@contextmanager
def here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agelens.batch.local_engine.run", _run_here)
        yield


def _run_here(
    job: Job, unit: Callable[[int], Unit], pending: Iterable[tuple[int, int]], workers: int
) -> Iterator[Event]:
    worker = Worker(job, "here")
    for number, first in pending:
        yield from worker.process(unit(number), first)


def read_status(output: Path) -> dict[str, Any]:
    return dict(json.loads((output / "status.json").read_text("utf-8")))


def part_times(output: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (output / "parts").iterdir()}


def rows(output: Path) -> pl.DataFrame:
    return pl.read_parquet(output / "parts" / "*.parquet")


def sources(output: Path) -> list[str]:
    """Return the sources of all rows, sorted; for chips there is one row for each."""
    return sorted(rows(output)["source"])
