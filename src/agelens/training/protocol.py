"""The whole protocol: one recipe trained and measured on all five splits.

Five rotations of 60/20/20 over ten folds, as in the Facial-Age-Estimation-Benchmark (Paplhám
and Franc, CVPR 2024). Each split is a run folder of its own, `split-0` to `split-4`; what stands
there already is gone on with, or taken as it is.
"""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import Progress

from agelens import provenance
from agelens.data.folds import SPLITS
from agelens.evaluation.evaluate import Evaluator, Plan
from agelens.runtime import Model
from agelens.training import checkpoint, export
from agelens.training.config import Config
from agelens.training.run import train

FIGURES = {
    "age_mae": ("all", "age_mae"),
    "age_within_5": ("all", "age_within_5"),
    "age_mae_21_60": ("21-60", "age_mae"),
    "gender_accuracy": ("all", "gender_accuracy"),
    "gender_accuracy_13": ("13 and older", "gender_accuracy"),
}
"""The protocol's figures: subset and figure of an evaluation."""


def five_splits(
    recipe: Config,
    data: Path,
    folder: Path,
    progress: Progress,
    *,
    splits: tuple[int, ...] = tuple(range(SPLITS)),
    flip: bool = True,
    command: str = "",
    on_split: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train and measure a recipe on some splits; give the table, also in `folder/protocol.json`.

    A split whose evaluation is of its model as it stands is not measured again.
    """
    rows = []
    for split in splits:
        run = folder / f"split-{split}"
        config = Config.check(
            recipe.table() | {"data": recipe.table()["data"] | {"split": split}}, recipe.name
        )
        if "finished" not in _read(run / "run.json"):
            train(config, data, run, progress, resume=True)
        rows.append(_measured(run, split, data, flip, command, progress))
        checkpoint.write_json(folder / "protocol.json", _table(recipe, rows, flip, command))
        if on_split:
            on_split(rows[-1])
    return _table(recipe, rows, flip, command)


def _measured(
    run: Path, split: int, data: Path, flip: bool, command: str, progress: Progress
) -> dict[str, Any]:
    model = Model(run)
    folder = run / f"evaluation-split{split}-test{'-flip' if flip else ''}"
    about = _read(folder / "evaluation.json")
    if about.get("model", {}).get("sha256") != export.sha256(model.path):
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


def _table(recipe: Config, rows: list[dict[str, Any]], flip: bool, command: str) -> dict[str, Any]:
    return {
        "protocol": "five-splits",
        "command": command,
        "recipe": recipe.table(),
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
