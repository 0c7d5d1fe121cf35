"""The five-split protocol: train or combine models on each split, and measure them.

The splits are five rotations of 60/20/20 over ten folds (Paplhám and Franc, CVPR 2024). Each has a
run folder, `split-0` to `split-4`: a stopped run is resumed, a finished one is kept.
"""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from agelens import provenance
from agelens.data.dataset import SPLITS
from agelens.data.storage import read_object, write_json
from agelens.errors import TrainingError
from agelens.evaluation.evaluate import Evaluator
from agelens.inference.runtime import Model
from agelens.training.experiments import stages
from agelens.training.experiments.combination import combine_runs
from agelens.training.experiments.run import read_record
from agelens.training.recipes.config import Config

FIGURES = {  # the protocol's figures: subset and figure of an evaluation
    "age_mae": ("all", "age_mae"),
    "age_within_5": ("all", "age_within_5"),
    "age_mae_21_60": ("21-60", "age_mae"),
    "gender_accuracy": ("all", "gender_accuracy"),
    "gender_accuracy_13": ("13 and older", "gender_accuracy"),
}


def five_splits(
    source: Config | Sequence[Path], data: Path, folder: Path, progress: Progress, *,
    splits: Sequence[int] = range(SPLITS), flip: bool = True, command: str = "",
    on_split: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Make and measure the models of some splits; return the table of `folder/protocol.json`.

    `source` is a recipe to train with its stages, or two or more folders that this function has
    filled, whose models are combined. The table is written after each split. A model whose
    evaluation is up to date is not measured again. Raises TrainingError for fewer folders.
    """
    if isinstance(source, Config):
        about: dict[str, Any] = {"recipe": source.table()}
    elif len(source) < 2:
        raise TrainingError(
            f"{len(source)} folder to combine: expected two or more that "
            "`agelens benchmark` has filled"
        )
    else:
        about = {"members": [str(member) for member in source]}
    rows: list[dict[str, Any]] = []
    table: dict[str, Any] = {}
    for split in splits:
        run = folder / f"split-{split}"
        if not {"finished", "made"} & read_record(run / "run.json").keys():
            if isinstance(source, Config):
                recipe = source.changed({"data.split": split}, source.name)
                stages.run(stages.plan(recipe, data, run), data, progress)
            else:
                combine_runs([member / f"split-{split}" for member in source], data, run, progress)
        rows.append(_measure(run, split, data, flip, command, progress))
        columns = {name: [row[name] for row in rows] for name in FIGURES}
        deviation = statistics.stdev if len(rows) > 1 else lambda _: None
        table = {
            "protocol": "five-splits", "command": command, **about, "flip": flip, "splits": rows,
            "mean": {name: statistics.fmean(values) for name, values in columns.items()},
            "standard_deviation": {name: deviation(values) for name, values in columns.items()},
            "machine": provenance.machine(), "versions": provenance.versions(),
            "date": provenance.now(),
        }  # fmt: skip
        write_json(folder / "protocol.json", table)
        if on_split:
            on_split(rows[-1])
    return table


def _measure(
    run: Path, split: int, data: Path, flip: bool, command: str, progress: Progress
) -> dict[str, Any]:
    model = Model(run)
    folder = run / f"evaluation-split{split}-test{'-flip' if flip else ''}"
    evaluation = read_object(folder / "evaluation.json")
    if evaluation.get("model", {}).get("sha256") != provenance.sha256(model.path):
        task = progress.add_task(f"split {split}: test folds")

        def report(_: str, done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        evaluator = Evaluator(data, split=split, flip=flip, command=command)
        evaluation = evaluator.run(model, folder, run.name, report)
        progress.remove_task(task)
    figures = {
        name: evaluation["subsets"][subset]["figures"][figure]["value"]
        for name, (subset, figure) in FIGURES.items()
    }
    folds = evaluation["data"]["folds"]
    return {"split": split, "faces": evaluation["faces"], "folds": folds, **figures}
