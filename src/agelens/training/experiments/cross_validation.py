"""The whole protocol: one way to make a model, gone and measured on all five splits.

Five rotations of 60/20/20 over ten folds, as in the Facial-Age-Estimation-Benchmark (Paplhám
and Franc, CVPR 2024). Each split is a run folder of its own, `split-0` to `split-4`; what stands
there already is gone on with, or taken as it is.
"""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from agelens import provenance
from agelens.data.folds import SPLITS
from agelens.errors import TrainingError
from agelens.evaluation.evaluate import Evaluator, Plan
from agelens.inference.runtime import Model
from agelens.training.experiments import stages
from agelens.training.experiments.ensemble_selection import combine
from agelens.training.export import exporter
from agelens.training.networks import checkpoint
from agelens.training.recipes.config import Config

FIGURES = {
    "age_mae": ("all", "age_mae"),
    "age_within_5": ("all", "age_within_5"),
    "age_mae_21_60": ("21-60", "age_mae"),
    "gender_accuracy": ("all", "gender_accuracy"),
    "gender_accuracy_13": ("13 and older", "gender_accuracy"),
}
"""The protocol's figures: subset and figure of an evaluation."""


Make = Callable[[int, Path], None]
"""Makes the model of a split in its run folder, unless it is there."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the models are made: by a recipe, or of other models."""

    name: str
    said: dict[str, Any]  # of it, in the record
    make: Make


def by_recipe(recipe: Config, data: Path, progress: Progress) -> Way:
    """Train a recipe and what it needs. A split that was stopped goes on."""

    def make(split: int, run: Path) -> None:
        if not {"finished", "made"} & _read(run / "run.json").keys():
            stages.run(stages.plan(recipe.at(split), data, run), data, progress)

    return Way(recipe.name, {"recipe": recipe.table()}, make)


def by_combining(folders: Sequence[Path], data: Path, progress: Progress) -> Way:
    """Combine, on each split, the models that other ways made of it: their folders.

    Raises TrainingError, before anything is made, for fewer than two folders.
    """
    if len(folders) < 2:
        raise TrainingError(
            f"{len(folders)} folder to combine: expected two or more that "
            "`agelens benchmark` has filled"
        )

    def make(split: int, run: Path) -> None:
        if "made" not in _read(run / "run.json"):
            combine([folder / f"split-{split}" for folder in folders], data, run, progress)

    said = {"members": [str(folder) for folder in folders]}
    return Way(" + ".join(folder.name for folder in folders), said, make)


def five_splits(
    way: Way,
    data: Path,
    folder: Path,
    progress: Progress,
    *,
    splits: tuple[int, ...] = tuple(range(SPLITS)),
    flip: bool = True,
    command: str = "",
    on_split: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Make and measure the models of some splits; give the table, also in `folder/protocol.json`.

    A split whose evaluation is of its model as it stands is not measured again.
    """
    rows = []
    for split in splits:
        run = folder / f"split-{split}"
        way.make(split, run)
        rows.append(_measured(run, split, data, flip, command, progress))
        checkpoint.write_json(folder / "protocol.json", _table(way, rows, flip, command))
        if on_split:
            on_split(rows[-1])
    return _table(way, rows, flip, command)


def _measured(
    run: Path, split: int, data: Path, flip: bool, command: str, progress: Progress
) -> dict[str, Any]:
    model = Model(run)
    folder = run / f"evaluation-split{split}-test{'-flip' if flip else ''}"
    about = _read(folder / "evaluation.json")
    if about.get("model", {}).get("sha256") != exporter.sha256(model.path):
        evaluator = Evaluator(Plan(data, split=split, flip=flip), command)
        task = progress.add_task(f"split {split}: test folds", total=len(evaluator))

        def report(_: str, done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        about = evaluator.run(model, folder, run.name, report).table
        progress.remove_task(task)
    figures = {
        name: about["subsets"][subset]["figures"][figure]["value"]
        for name, (subset, figure) in FIGURES.items()
    }
    return {"split": split, "faces": about["faces"], "folds": about["data"]["folds"], **figures}


def _read(file: Path) -> dict[str, Any]:
    """Read a record; one that is not there yet is empty."""
    about: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return about


def _table(way: Way, rows: list[dict[str, Any]], flip: bool, command: str) -> dict[str, Any]:
    return {
        "protocol": "five-splits",
        "command": command,
        **way.said,
        "flip": flip,
        "splits": rows,
        "mean": {name: statistics.fmean(row[name] for row in rows) for name in FIGURES},
        "standard_deviation": {
            name: statistics.stdev(row[name] for row in rows) if len(rows) > 1 else None
            for name in FIGURES
        },
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "date": provenance.now(),
    }
