"""What the tests of training share: the recipe tiny, a stop on the way, the figures of a run."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import Progress

from agelens.data.dataset import Dataset
from agelens.training.loop.trainer import Trainer
from agelens.training.recipes.config import Config
from conftest import build_tiny_model

QUIET = Progress(disable=True)


class StoppedError(Exception):
    """Stands for whatever ends a run early."""


def stop_after(epochs: int) -> Callable[[dict[str, float]], None]:
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == epochs:
            raise StoppedError

    return stop


def tiny(**changes: object) -> Config:
    """Read the recipe tiny with changes, in which __ stands for a dot."""
    return Config.read("tiny", {key.replace("__", "."): v for key, v in changes.items()})


def trainer(dataset: Dataset, run: Path, **changes: object) -> Trainer:
    """Make the trainer of the recipe tiny with changes, named as the run's folder."""
    run.mkdir(exist_ok=True)
    return Trainer(tiny(name=run.name, **changes), dataset, run, QUIET)


def export_tiny(network: object, file: Path, card: dict[str, Any], *_: Any, **__: Any) -> float:
    """Take the place of `exporter.export`, which takes seconds."""
    build_tiny_model(file, card)
    return 0.0


def history(run: Path, file: str = "history.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((run / file).read_text("utf-8").splitlines()))


def figures(run: Path) -> list[dict[str, float]]:
    timed = ("train_seconds", "faces_per_second")
    return [{k: float(v) for k, v in row.items() if k not in timed} for row in history(run)]
