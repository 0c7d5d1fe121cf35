"""Read evaluation folders: figures, predictions and the facts of the training (run.json)."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.errors import DatasetError, SourceError
from agelens.evaluation.bootstrap import Mask
from agelens.evaluation.evaluate import FORMAT
from agelens.evaluation.figures import Faces
from agelens.evaluation.predictions import PREDICTED
from agelens.inference.distribution import AGES

COLUMNS = ("file", "age", "gender", "race", *PREDICTED, "age_probabilities")
"""Columns that `predictions.parquet` must have; `sha256` is read too, where it is there."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """A measured model, as its evaluation folder has it."""

    name: str
    folder: Path
    about: dict[str, Any]  # evaluation.json
    samples: pl.DataFrame  # all N faces, as predictions.parquet has them
    found: Mask  # (N,): which of them have a prediction
    faces: Faces  # those that have one
    training: dict[str, Any] | None  # its facts, where the record lies beside the evaluation
    training_figures: dict[str, Any] | None  # on the training faces, where measured beside it

    @property
    def clusters(self) -> NDArray[Any]:
        """What is drawn together in a bootstrap: byte-identical pictures, (N,)."""
        key = "sha256" if "sha256" in self.samples.columns else "file"
        return self.samples[key].to_numpy()


def load_all(arguments: Sequence[str]) -> list[Evaluated]:
    """Read evaluations of the same faces, each given as a folder or as NAME=FOLDER.

    Raises SourceError for folders without an evaluation and for a name twice, DatasetError for
    files that cannot be read, and where two evaluations are of different faces.
    """
    evaluations: dict[str, Evaluated] = {}
    for argument in arguments:
        one = load(*_parse(argument))
        other = evaluations.setdefault(one.name, one)
        if other is not one:
            raise SourceError(
                f"two evaluations are named {one.name!r} ({str(other.folder)!r} and "
                f"{str(one.folder)!r}): give names, such as  {one.name}-2={one.folder}"
            )
    same = ("file", "age", "gender")
    first, *others = evaluations.values()
    for other in others:
        if not first.samples.select(same).equals(other.samples.select(same)):
            raise DatasetError(
                f"{first.name!r} and {other.name!r} were measured on different faces "
                f"({_describe_faces(first)}; {_describe_faces(other)}): models can only be "
                "compared on the same ones; evaluate with the same --data, --split and --part, "
                "or report them apart"
            )
    return [first, *others]


def load(folder: Path, name: str | None = None) -> Evaluated:
    """Read one evaluation folder; `name` replaces the model's own. Raises as `load_all`."""
    about = read_figures(folder)
    samples = _read_table(folder, about.get("command") or "agelens evaluate")
    if len(samples) != about["faces"]:
        raise DatasetError(
            f"{str(folder)!r} has predictions of {len(samples):,} faces and figures of "
            f"{about['faces']:,}: its files do not belong together; evaluate again"
        )
    found = samples["age_median"].is_not_null().to_numpy()
    rows = samples.filter(pl.Series(found))
    faces = Faces(
        age=rows["age"].to_numpy().astype(np.int64),
        female=(rows["gender"] == "female").to_numpy(),
        probabilities=np.reshape(rows["age_probabilities"].to_numpy(), (-1, AGES)),
        **{name: rows[name].to_numpy().astype(np.float64) for name in PREDICTED},
    )
    # Figures and predictions of one evaluation have the same age MAE.
    recorded = about["subsets"]["all"].get("figures", {}).get("age_mae", {}).get("value")
    computed = np.abs(faces.age_median - faces.age).mean() if len(faces) else np.nan
    if recorded is None and len(faces):
        raise DatasetError(f"{str(folder)!r} has predictions but no figures: evaluate again")
    if recorded is not None and not abs(computed - recorded) < 1e-6:
        raise DatasetError(
            f"{str(folder)!r} has predictions with an age MAE of {computed:.4f} and figures that "
            f"say {recorded:.4f}: its files do not belong together; evaluate again"
        )
    return Evaluated(
        name or about["model"]["name"], folder, about, samples, found, faces,
        describe_training(folder), _training_figures(folder, about),
    )  # fmt: skip


def _parse(argument: str) -> tuple[Path, str | None]:
    """Split NAME=FOLDER, unless there is a folder of just that name."""
    name, sign, folder = argument.partition("=")
    if not sign or Path(argument).is_dir():
        return Path(argument), None
    if not name.strip():
        raise SourceError(f"{argument!r} has no name before the sign: expected NAME=FOLDER")
    return Path(folder), name.strip()


def read_figures(folder: Path) -> dict[str, Any]:
    """Read the evaluation.json of a folder. Raises SourceError and DatasetError as `load_all`."""
    file = folder / "evaluation.json"
    if not file.is_file():
        inner = sorted(path.parent.name for path in folder.glob("*/evaluation.json"))
        hint = (
            f"it holds the evaluations {', '.join(inner)}: give one of them"
            if inner
            else "make one with  agelens evaluate MODEL --data DATA"
        )
        raise SourceError(f"{str(folder)!r} is no evaluation: it has no evaluation.json; {hint}")
    try:
        about: dict[str, Any] = json.loads(file.read_text("utf-8"))
        _ = about["format"], about["faces"], about["model"]["name"], about["subsets"]["all"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"cannot read {str(file)!r} ({type(error).__name__}: {error}): expected what "
            "agelens evaluate writes; evaluate again"
        ) from error
    if about["format"] != FORMAT:
        raise DatasetError(
            f"{str(file)!r} has format {about['format']}, expected {FORMAT}: evaluate again"
        )
    return about


def _read_table(folder: Path, command: str) -> pl.DataFrame:
    file = folder / "predictions.parquet"
    again = f"evaluate again with  {command}"
    if not file.is_file():
        raise SourceError(f"{str(folder)!r} has no predictions.parquet: {again}")
    try:
        table = pl.read_parquet(file)
    except Exception as error:  # polars' exceptions share no public base class
        reason = str(error).partition("\n")[0]
        raise DatasetError(f"cannot read {str(file)!r}: {reason}; {again}") from error
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise DatasetError(f"{str(file)!r} lacks the columns {', '.join(missing)}: {again}")
    return table


def _training_figures(folder: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """Find figures of the same model on its training faces, in an evaluation beside this one."""

    def key(figures: dict[str, Any]) -> tuple[Any, ...]:
        data = figures["data"]["fingerprint"], figures["data"]["split"]
        return *data, figures["model"]["sha256"], figures["flip"], figures["pipeline"]

    for file in sorted(folder.resolve().parent.glob("*/evaluation.json")):
        try:
            other = read_figures(file.parent)
            alike = other["data"]["part"] == "train" != about["data"]["part"]
            if alike and key(other) == key(about) and "figures" in other["subsets"]["all"]:
                return {"faces": other["faces"], "figures": other["subsets"]["all"]["figures"]}
        except (DatasetError, KeyError):
            continue
    return None


def _describe_faces(one: Evaluated) -> str:
    data = one.about["data"]
    part = f"the {data['part']} folds of split {data['split']} of "
    return (
        f"{len(one.samples):,} faces of {'' if data['part'] == 'all' else part}{data['name']!r}, "
        f"fingerprint {data['fingerprint'][:8]}"
    )


def describe_training(folder: Path) -> dict[str, Any] | None:
    """Return the facts of a training that a report shows, as JSON values; None without a record.

    The record, run.json and history.csv (a row of numbers for each epoch; a hybrid has none), is
    in the folder or in the run folder around it. Raises DatasetError for files that cannot be read.
    """
    for place in (folder, folder.resolve().parent):
        file, history = place / "run.json", place / "history.csv"
        if file.is_file():
            break
    else:
        return None
    try:
        run = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read the run record {str(file)!r}: {error}") from error
    run = run if isinstance(run, dict) else {}
    try:
        lines = history.read_text("utf-8").splitlines() if history.is_file() else []
        rows = csv.DictReader(lines)
        epochs = [{key: float(value) for key, value in row.items() if value} for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(
            f"cannot read the history {str(history)!r}: {error}; expected one number in each "
            "column for each epoch"
        ) from error
    parameters = run.get("parameters")
    kept = ("members", "chosen", "ways", "against_best_member")
    about: dict[str, Any] = {
        "parameters_millions": None if parameters is None else parameters / 1e6,
        "precision": run.get("precision"),
        "epochs": epochs,
        "planned_epochs": run.get("config", {}).get("schedule", {}).get("epochs"),
        **{key: run[key] for key in kept if key in run},
    }
    if epochs:
        about["hours"] = sum(row.get("train_seconds", 0) for row in epochs) / 3600
        about["done_epochs"] = len(epochs)
    maes = [row["validation_mae"] for row in epochs if "validation_mae" in row]
    if maes and len(maes) == len(epochs):
        about["best_epoch"] = 1 + maes.index(min(maes))
        about["best_validation_mae"] = min(maes)
        about["last_gain"] = maes[-2] - maes[-1] if len(maes) > 1 else None
    return about
