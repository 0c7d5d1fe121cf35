"""The record of a training run, where it lies beside an evaluation: history.csv, run.json."""

import csv
import json
from pathlib import Path
from typing import Any

from agelens.errors import DatasetError

CURVES = ("loss", "mae", "cs5", "gender_accuracy")
"""What a history may hold for `train_` and for `validation_`."""


def read_record(folder: Path) -> dict[str, Any] | None:
    """Give the record in an evaluation folder or in the run folder around it; None without.

    `epochs` holds a row of numbers for each epoch (a hybrid has none), `run` what run.json says.
    Raises DatasetError for files that cannot be read.
    """
    for place in (folder, folder.resolve().parent):
        run, history = place / "run.json", place / "history.csv"
        if run.is_file():
            return {
                "run": _read_run(run),
                "epochs": _read_history(history) if history.is_file() else [],
            }
    return None


def _read_run(file: Path) -> dict[str, Any]:
    try:
        run = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read the run record {str(file)!r}: {error}") from error
    return run if isinstance(run, dict) else {}


def _read_history(file: Path) -> list[dict[str, float]]:
    try:
        rows = list(csv.DictReader(file.read_text("utf-8").splitlines()))
        return [{key: float(value) for key, value in row.items() if value} for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(
            f"cannot read the history {str(file)!r}: {error}; expected one number in each column "
            "for each epoch"
        ) from error


def describe_record(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """Give what a report tells of the training, as JSON values; None where nothing is known."""
    if record is None:
        return None
    run, epochs = record["run"], record["epochs"]
    parameters = run.get("parameters")
    about: dict[str, Any] = {
        "parameters_millions": None if parameters is None else parameters / 1e6,
        "precision": run.get("precision"),
        "epochs": epochs,
    }
    config = run.get("config", {})
    about["planned_epochs"] = config.get("schedule", {}).get("epochs")
    if epochs:
        about |= _shape(epochs)
    for key in ("members", "chosen", "ways", "against_best_member"):
        if key in run:
            about[key] = run[key]
    return about


def _shape(epochs: list[dict[str, float]]) -> dict[str, Any]:
    """Say where a training stood at its end: its best epoch and what the last one brought."""
    maes = [row["validation_mae"] for row in epochs if "validation_mae" in row]
    shape: dict[str, Any] = {
        "hours": sum(row.get("train_seconds", 0) for row in epochs) / 3600,
        "done_epochs": len(epochs),
    }
    if len(maes) == len(epochs):
        best = min(range(len(maes)), key=maes.__getitem__)
        shape |= {
            "best_epoch": best + 1,
            "best_validation_mae": maes[best],
            "last_gain": maes[-2] - maes[-1] if len(maes) > 1 else None,
        }
    return shape
