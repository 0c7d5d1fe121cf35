"""Read evaluation folders back: figures, predictions and the record of the training."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.errors import DatasetError, SourceError
from agelens.evaluation.evaluate import FORMAT
from agelens.evaluation.figures import Faces
from agelens.evaluation.run_history import read_record

COLUMNS = (
    "file", "age", "gender", "race", "age_median", "age_mean", "age_low", "age_high",
    "female_probability", "age_probabilities",
)  # fmt: skip
"""What is read of `predictions.parquet`; `sha256` too, where it is there."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """A model that has been measured, as its evaluation folder has it."""

    name: str
    folder: Path
    about: dict[str, Any]  # evaluation.json
    samples: pl.DataFrame  # all N faces, as predictions.parquet has them
    found: NDArray[np.bool_]  # (N,): which of them have an answer
    faces: Faces  # those that have
    record: dict[str, Any] | None  # of the training, where it lies beside the evaluation
    learnt: dict[str, Any] | None  # figures on the training faces, where measured beside it

    @property
    def clusters(self) -> NDArray[Any]:
        """What is drawn together in a bootstrap: byte-identical pictures, (N,)."""
        key = "sha256" if "sha256" in self.samples.columns else "file"
        return self.samples[key].to_numpy()


def load_all(words: Sequence[str]) -> list[Evaluated]:
    """Read evaluations, each given as a folder or as NAME=FOLDER, of the same faces.

    Raises SourceError for folders that are none and for a name twice, DatasetError for files
    that cannot be read, and where two evaluations are of different faces.
    """
    read: list[Evaluated] = []
    for word in words:
        one = load(*_split(word))
        for other in read:
            if other.name == one.name:
                raise SourceError(
                    f"two evaluations are named {one.name!r} ({str(other.folder)!r} and "
                    f"{str(one.folder)!r}): give names, such as  {one.name}-2={one.folder}"
                )
        read.append(one)
    for other in read[1:]:
        _check_same_faces(read[0], other)
    return read


def load(folder: Path, name: str | None = None) -> Evaluated:
    """Read one evaluation folder; `name` is used instead of the model's own. Raises as above."""
    about = read_figures(folder)
    samples = _read_table(folder, about.get("command") or "agelens evaluate")
    if len(samples) != about["faces"]:
        raise DatasetError(
            f"{str(folder)!r} has predictions of {len(samples):,} faces and figures of "
            f"{about['faces']:,}: its files do not belong together; evaluate again"
        )
    found = samples["age_median"].is_not_null().to_numpy()
    faces = _faces(samples.filter(pl.Series(found)))
    _check_belongs(folder, about, faces)
    return Evaluated(
        name or about["model"]["name"],
        folder,
        about,
        samples,
        found,
        faces,
        read_record(folder),
        _learnt(folder, about),
    )


def _split(word: str) -> tuple[Path, str | None]:
    """Part NAME=FOLDER, unless there is a folder of just that name."""
    name, sign, folder = word.partition("=")
    if not sign or Path(word).is_dir():
        return Path(word), None
    if not name.strip():
        raise SourceError(f"{word!r} has no name before the sign: expected NAME=FOLDER")
    return Path(folder), name.strip()


def read_figures(folder: Path) -> dict[str, Any]:
    """Read the evaluation.json of a folder. Raises SourceError and DatasetError as above."""
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
        about = json.loads(file.read_text("utf-8"))
        made = about["format"], about["faces"], about["model"]["name"], about["subsets"]["all"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"cannot read {str(file)!r} ({type(error).__name__}: {error}): expected what "
            "agelens evaluate writes; evaluate again"
        ) from error
    if made[0] != FORMAT:
        raise DatasetError(f"{str(file)!r} has format {made[0]}, expected {FORMAT}: evaluate again")
    result: dict[str, Any] = about
    return result


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
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DatasetError(f"{str(file)!r} lacks the columns {', '.join(missing)}: {again}")
    return table


def _learnt(folder: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """Find how well the same model knows its training faces: an evaluation of `--part train`.

    It must lie beside this one, and have been made alike.
    """
    for file in sorted(folder.resolve().parent.glob("*/evaluation.json")):
        try:
            other = read_figures(file.parent)
            alike = (
                other["data"]["part"] == "train" != about["data"]["part"]
                and all(
                    other["data"][key] == about["data"][key] for key in ("fingerprint", "split")
                )
                and other["model"]["sha256"] == about["model"]["sha256"]
                and (other["flip"], other["pipeline"]) == (about["flip"], about["pipeline"])
            )
        except (DatasetError, KeyError):
            continue
        if alike and "figures" in other["subsets"]["all"]:
            return {"faces": other["faces"], "figures": other["subsets"]["all"]["figures"]}
    return None


def _faces(table: pl.DataFrame) -> Faces:
    columns = ("age_median", "age_mean", "age_low", "age_high", "female_probability")
    age_median, age_mean, age_low, age_high, female = (
        table[name].to_numpy().astype(np.float64) for name in columns
    )
    spread = table["age_probabilities"].to_numpy()
    return Faces(
        age=table["age"].to_numpy().astype(np.int64),
        female=(table["gender"] == "female").to_numpy(),
        probabilities=spread if len(table) else np.zeros((0, 117), np.float32),
        age_median=age_median,
        age_mean=age_mean,
        age_low=age_low,
        age_high=age_high,
        female_probability=female,
    )


def _check_belongs(folder: Path, about: dict[str, Any], faces: Faces) -> None:
    said = about["subsets"]["all"].get("figures", {}).get("age_mae", {}).get("value")
    if said is None:
        if len(faces):
            raise DatasetError(f"{str(folder)!r} has predictions but no figures: evaluate again")
        return
    seen = float(np.abs(faces.age_median - faces.age).mean()) if len(faces) else float("nan")
    if not abs(seen - said) < 1e-6:
        raise DatasetError(
            f"{str(folder)!r} has predictions with an age MAE of {seen:.4f} and figures that say "
            f"{said:.4f}: its files do not belong together; evaluate again"
        )


def _check_same_faces(first: Evaluated, other: Evaluated) -> None:
    same = ("file", "age", "gender")
    if first.samples.select(same).equals(other.samples.select(same)):
        return
    raise DatasetError(
        f"{first.name!r} and {other.name!r} were measured on different faces "
        f"({_which(first)}; {_which(other)}): models can only be compared on the same ones; "
        "evaluate with the same --data, --split and --part, or report them apart"
    )


def _which(one: Evaluated) -> str:
    data = one.about["data"]
    folds = (
        "" if data["part"] == "all" else f"the {data['part']} folds of split {data['split']} of "
    )
    return (
        f"{len(one.samples):,} faces of {folds}{data['name']!r}, fingerprint "
        f"{data['fingerprint'][:8]}"
    )
