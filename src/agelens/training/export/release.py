"""Release a run's model with the package: only if measured, small enough, and no worse than before.

python -m agelens.training.export.release runs/finetune default
"""

import json
import sys
from pathlib import Path
from typing import Any

from agelens import doctor, provenance
from agelens.data.storage import read_object, write_json
from agelens.errors import AgelensError, TrainingError
from agelens.inference.runtime import Model, shipped
from agelens.training.export import exporter

LARGEST = 25_000_000  # bytes
MOST_LOST = 0.03  # years of validation MAE, for what benchmarks/shift.py finds gained elsewhere
WEIGHTS = Path(__file__).parents[2] / "weights"
FIGURES = ("age_mae", "age_within_5", "gender_accuracy", "interval_coverage", "gender_ece")


def ship(run: Path, name: str) -> Path:
    """Copy `run/model.onnx` to the package's weights as NAME, with its test figures in the card.

    Raises TrainingError for a run that is too large, not evaluated on the test folds, or worse
    than the shipped one on validation faces, so that test folds choose nothing.
    """
    model = Model(run)
    size = model.path.stat().st_size
    if size > LARGEST:
        raise TrainingError(f"{model.path} has {size:,} bytes: expected at most {LARGEST:,}")
    mae = model.card["validation"]["validation_mae"]
    if name in shipped():
        old = Model(name).card["validation"]["validation_mae"]
        if mae > old + MOST_LOST:
            raise TrainingError(
                f"{run} has validation MAE {mae:.3f}, the shipped {name} {old:.3f}: worse"
            )
    card = {**model.card, "test": _test_figures(run, model)}
    WEIGHTS.mkdir(exist_ok=True)
    file = WEIGHTS / f"{name}.onnx"
    partial = file.with_name(file.name + ".part")
    partial.write_bytes(model.path.read_bytes())
    exporter.write_card(partial, card)
    partial.replace(file)
    write_json(file.with_suffix(".json"), card)
    recorded_file = WEIGHTS / "recorded.json"  # what `agelens doctor` expects
    recorded = read_object(recorded_file)
    recorded[name] = {"sha256": provenance.sha256(file), "self_test": doctor.answers(file)}
    write_json(recorded_file, recorded)
    return file


def _test_figures(run: Path, model: Model) -> dict[str, Any]:
    digest = provenance.sha256(model.path)
    for path in sorted(run.glob("evaluation-*-test*/evaluation.json"), reverse=True):
        evaluation = json.loads(path.read_text("utf-8"))
        if evaluation["model"]["sha256"] == digest:
            figures = evaluation["subsets"]["all"]["figures"]
            return {
                "faces": evaluation["faces"],
                "folds": evaluation["data"]["folds"],
                "flip": evaluation["flip"],
                "date": evaluation["date"],
                **{key: round(figures[key]["value"], 4) for key in FIGURES},
            }
    raise TrainingError(
        f"{run} has no evaluation of this model.onnx on test folds: "
        f"run  agelens evaluate {run} --data DATA --flip"
    )


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{ship(Path(sys.argv[1]), sys.argv[2])}\n")
    except AgelensError as error:
        sys.exit(f"error: {error}")
