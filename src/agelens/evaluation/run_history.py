"""Read the record of a training run that lies beside an evaluation: run.json, history.csv."""

import csv
import json
from pathlib import Path
from typing import Any

from agelens.errors import DatasetError


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record in an evaluation folder or in the run folder around it; None without one.

    `epochs` holds a row of numbers for each epoch (a hybrid has none), `run` the content of
    run.json. Raises DatasetError for files that cannot be read.
    """
    for place in (folder, folder.resolve().parent):
        file = place / "run.json"
        if file.is_file():
            try:
                run = json.loads(file.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise DatasetError(f"cannot read the run record {str(file)!r}: {error}") from error
            run = run if isinstance(run, dict) else {}
            return {"run": run, "epochs": _read_history(place / "history.csv")}
    return None


def _read_history(file: Path) -> list[dict[str, float]]:
    if not file.is_file():
        return []
    try:
        rows = csv.DictReader(file.read_text("utf-8").splitlines())
        return [{key: float(value) for key, value in row.items() if value} for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(
            f"cannot read the history {str(file)!r}: {error}; expected one number in each column "
            "for each epoch"
        ) from error


def describe_record(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the facts of a training that a report shows, as JSON values; None without a record."""
    if record is None:
        return None
    run, epochs = record["run"], record["epochs"]
    parameters = run.get("parameters")
    about: dict[str, Any] = {
        "parameters_millions": None if parameters is None else parameters / 1e6,
        "precision": run.get("precision"),
        "epochs": epochs,
        "planned_epochs": run.get("config", {}).get("schedule", {}).get("epochs"),
    }
    if epochs:
        about["hours"] = sum(row.get("train_seconds", 0) for row in epochs) / 3600
        about["done_epochs"] = len(epochs)
    maes = [row["validation_mae"] for row in epochs if "validation_mae" in row]
    if epochs and len(maes) == len(epochs):
        about["best_epoch"] = 1 + min(range(len(maes)), key=maes.__getitem__)
        about["best_validation_mae"] = min(maes)
        about["last_gain"] = maes[-2] - maes[-1] if len(maes) > 1 else None
    kept = ("members", "chosen", "ways", "against_best_member")
    return about | {key: run[key] for key in kept if key in run}
