"""The five-split protocol: train or combine models on each split, and measure them.

The splits are five rotations of 60/20/20 over ten folds, as in the Facial-Age-Estimation-Benchmark
(Paplhám and Franc, CVPR 2024). Each has a run folder, `split-0` to `split-4`: a run that was
stopped is resumed, and one that is finished is kept.
"""

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
from agelens.training.experiments.combination import combine_runs
from agelens.training.experiments.run import read_record
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


@dataclass(frozen=True, slots=True)
class Method:
    """A way to make the model of each split."""

    name: str
    record: dict[str, Any]  # of the method, for protocol.json
    make: Callable[[int, Path], None]  # makes the model of a split in its run folder


def recipe_method(recipe: Config, data: Path, progress: Progress) -> Method:
    """Train a recipe and its stages on each split, resuming runs that were stopped."""

    def make(split: int, run: Path) -> None:
        if not {"finished", "made"} & read_record(run / "run.json").keys():
            stages.run(stages.plan(recipe.at(split), data, run), data, progress)

    return Method(recipe.name, {"recipe": recipe.table()}, make)


def ensemble_method(folders: Sequence[Path], data: Path, progress: Progress) -> Method:
    """Combine, on each split, the models that other methods made in their folders.

    Raises TrainingError, before anything is made, for fewer than two folders.
    """
    if len(folders) < 2:
        raise TrainingError(
            f"{len(folders)} folder to combine: expected two or more that "
            "`agelens benchmark` has filled"
        )

    def make(split: int, run: Path) -> None:
        if "made" not in read_record(run / "run.json"):
            combine_runs([folder / f"split-{split}" for folder in folders], data, run, progress)

    members = {"members": [str(folder) for folder in folders]}
    return Method(" + ".join(folder.name for folder in folders), members, make)


def five_splits(
    method: Method,
    data: Path,
    folder: Path,
    progress: Progress,
    *,
    splits: tuple[int, ...] = tuple(range(SPLITS)),
    flip: bool = True,
    command: str = "",
    on_split: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Make and measure the models of some splits; return the table of `folder/protocol.json`.

    The table is written after each split. A model whose evaluation is up to date is not measured
    again.
    """
    rows: list[dict[str, Any]] = []
    table: dict[str, Any] = {}
    for split in splits:
        run = folder / f"split-{split}"
        method.make(split, run)
        rows.append(_measure(run, split, data, flip, command, progress))
        columns = {name: [row[name] for row in rows] for name in FIGURES}
        deviation = statistics.stdev if len(rows) > 1 else lambda _: None
        table = {
            "protocol": "five-splits",
            "command": command,
            **method.record,
            "flip": flip,
            "splits": rows,
            "mean": {name: statistics.fmean(values) for name, values in columns.items()},
            "standard_deviation": {name: deviation(values) for name, values in columns.items()},
            "machine": provenance.machine(),
            "versions": provenance.versions(),
            "date": provenance.now(),
        }
        checkpoint.write_json(folder / "protocol.json", table)
        if on_split:
            on_split(rows[-1])
    return table


def _measure(
    run: Path, split: int, data: Path, flip: bool, command: str, progress: Progress
) -> dict[str, Any]:
    model = Model(run)
    folder = run / f"evaluation-split{split}-test{'-flip' if flip else ''}"
    evaluation = read_record(folder / "evaluation.json")
    if evaluation.get("model", {}).get("sha256") != exporter.sha256(model.path):
        evaluator = Evaluator(Plan(data, split=split, flip=flip), command)
        task = progress.add_task(f"split {split}: test folds", total=len(evaluator))

        def report(_: str, done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        evaluation = evaluator.run(model, folder, run.name, report).table
        progress.remove_task(task)
    figures = {
        name: evaluation["subsets"][subset]["figures"][figure]["value"]
        for name, (subset, figure) in FIGURES.items()
    }
    folds = evaluation["data"]["folds"]
    return {"split": split, "faces": evaluation["faces"], "folds": folds, **figures}
