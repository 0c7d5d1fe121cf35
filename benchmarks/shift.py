"""Do ages, intervals and genders hold on pictures that are not UTKFace?

    python benchmarks/shift.py family london canada portraits [--data utkface]

Each folder holds pictures and labels.csv: file, age (or age_lo and age_hi, which hold it), gender
and person, the last two if known. The largest face of each picture is predicted through the public
API. An error is the distance to the label; an interval holds a label if low <= age <= high, a pair
of ages if it meets it. 95 % intervals are from resampling people. Gender is given at three levels
of certainty with the share of faces that reach it. Besides the shipped intervals, other ways to
read one off the same distributions are measured ("ways"), with --data for every second face of
UTKFace's validation folds too. Writes results/shift.json.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.progress import track

import agelens
import record
from agelens.cli import console
from agelens.data.chips import batches
from agelens.data.dataset import Dataset
from agelens.evaluation import bootstrap
from agelens.evaluation.calibration import scale_logits
from agelens.images.sources import Source
from agelens.inference import distribution
from agelens.inference.distribution import Levels
from agelens.results import Status

BANDS = {"0-4": (0, 4), "5-12": (5, 12), "13-17": (13, 17), "18-29": (18, 29), "30-49": (30, 49),
         "50 and older": (50, 116)}  # fmt: skip
ENOUGH = 10  # faces of a band
CERTAIN = (0.5, 0.8, 0.95)
VALIDATION_EVERY = 2


def main() -> None:
    """Predict, measure and write."""
    parser = record.parser(__doc__, model="default")
    parser.add_argument("--data", type=Path, help="the data set folder of UTKFace")
    parser.add_argument("folders", nargs="+", type=Path, help="folders with labels.csv")
    given = parser.parse_args()
    predictor = agelens.load(given.model, threads=1)
    collections = {folder.name: measure(predictor, folder) for folder in given.folders}
    given.folders = [Path(folder.name) for folder in given.folders]
    figures = {"model": dict(predictor.model.card), "collections": collections}
    if given.data:
        dataset = Dataset(given.data)
        rows = dataset.split(0).validation[::VALIDATION_EVERY]
        answers = [predictor.model.predict(chips) for chips in images(dataset, rows)]
        spread = np.concatenate([one.age_probabilities for one in answers])
        figures["validation_ways"] = ways(
            predictor, spread, *[dataset.samples["age"].to_numpy()[rows]] * 2
        )
    for key in ("interval", "pool", "scaling"):
        figures["model"].pop(key, None)
    record.show(record.write(given, figures, threads=1)["collections"])


def measure(predictor: agelens.Predictor, folder: Path) -> dict[str, Any]:
    """Measure one collection."""
    labels = pl.read_csv(folder / "labels.csv", schema_overrides={"person": pl.String})
    if "age" in labels.columns:
        labels = labels.with_columns(age_lo="age", age_hi="age")
    pictures = [Source(file, folder / file) for file in labels["file"]]
    answers = track(
        predictor.predict_stream(pictures), folder.name, len(pictures), console=console.err
    )
    faces = [answer.predictions[0] if answer.predictions else None for answer in answers]
    found = np.array([face is not None for face in faces])
    known, rows = [face for face in faces if face], labels.filter(pl.Series(found))
    age = np.array([face.age for face in known])
    low, high = np.array([face.age_interval for face in known]).T
    female = np.array([face.female_probability for face in known])
    first, last = (rows[name].to_numpy() for name in ("age_lo", "age_hi"))
    values = {
        "mae": np.maximum(first - age, 0) + np.maximum(age - last, 0),
        "bias": np.minimum(age - first, 0) + np.maximum(age - last, 0),
        "coverage": ((low <= last) & (high >= first)).astype(float),
    }
    people = rows["person"] if "person" in rows.columns else rows["file"]
    weights = bootstrap.resample(np.unique(people.to_numpy(), return_inverse=True)[1])
    middle = (first + last) / 2

    def figures(mask: np.ndarray) -> dict[str, Any]:
        table = {
            name: bootstrap.estimate(bootstrap.mean(one[mask]), weights[:, mask])[0].as_dict()
            for name, one in values.items()
        }
        return {
            "faces": int(mask.sum()),
            "median_width": float(np.median((high - low)[mask])),
            **table,
        }

    table = figures(np.ones(len(age), bool))
    table["ways"] = ways(predictor, np.stack([f.age_probabilities for f in known]), first, last)
    between = (middle >= 18) & (middle < 50)
    table |= {
        "missed": int((~found).sum()),
        "median_width_18_to_49": float(np.median((high - low)[between])),
        "flagged": float(np.mean([face.status is Status.POOR for face in known])),
        "by_age": {
            name: figures(mask) for name, (a, b) in BANDS.items()
            if (mask := (middle >= a) & (middle < b + 1)).sum() >= ENOUGH
        },
    }  # fmt: skip
    if "gender" in rows.columns:
        right = (female >= 0.5) == (rows["gender"] == "female").to_numpy()
        certain = np.maximum(female, 1 - female)
        parts = {"all": first >= 0, "13 and older": first >= 13, "under 13": last < 13}
        table["gender"] = {
            part: [
                {"certain": level, "share": float(sure.sum() / mask.sum()),
                 "right": float(right[sure].mean())}
                for level in CERTAIN if (sure := mask & (certain >= level)).any()
            ]
            for part, mask in parts.items() if mask.sum() >= ENOUGH
        }  # fmt: skip
    return table


def images(dataset: Dataset, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Read chips of UTKFace in batches."""
    yield from batches([dataset.image_path(int(row)) for row in rows], 64, 1)


def ways(
    predictor: agelens.Predictor, spread: np.ndarray, first: np.ndarray, last: np.ndarray
) -> dict[str, dict[str, float]]:
    """Measure ways to read an interval off distributions (N, 117): coverage and median width."""
    softer = scale_logits(spread, 1 / 1.3)
    ends = {
        "5 to 95 %, fractions of a year": [distribution.quantile(spread, q) for q in (0.05, 0.95)],
        "5 to 95 %": Levels.between(0.05, 0.95).ends(spread),
        "6 to 94 %": Levels.between(0.06, 0.94).ends(spread),
        "5 to 95 % at temperature 1.3": Levels.between(0.05, 0.95).ends(softer),
        "shortest with 88 %": shortest(spread, 0.88),
        "the card's levels": predictor.model.interval_levels().ends(spread),
    }
    return {
        name: {
            "coverage": float(((low <= last) & (high >= first)).mean()),
            "median_width": float(np.median(high - low)),
        }
        for name, (low, high) in ends.items()
    }


def shortest(spread: np.ndarray, mass: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last year of the shortest interval with some mass, each (N,)."""
    upto = np.cumsum(spread, axis=1) / spread.sum(axis=1, keepdims=True)
    before, years = np.pad(upto, ((0, 0), (1, 0)))[:, :-1], np.arange(spread.shape[1])
    last = np.array([[np.searchsorted(row, b + mass - 1e-9) for b in own]
                     for row, own in zip(upto, before, strict=True)])  # fmt: skip
    width = np.where(last < len(years), last - years, len(years))
    low = width.argmin(axis=1)
    return low, last[np.arange(len(low)), low]


if __name__ == "__main__":
    main()
