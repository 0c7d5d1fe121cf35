"""Which faces are unlike those of the training, and does it pay to flag them?

    python benchmarks/out_of_distribution.py --data utkface [--model fast]

Fits the out-of-distribution score of agelens.faces.quality to every fourth training face of split
0. The threshold is the one that 1 in 100 validation faces pass. The model predicts those faces, and
as many others as make 700, which shows whether its errors on them are larger. The share of flagged
faces is measured on 200 validation faces with each degradation of corruptions.py, turned upside
down, inverted, and painted. Test folds are not touched. Writes results/out_of_distribution.json and
src/agelens/faces/out_of_distribution.npz.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

import record
from agelens import provenance
from agelens.cli import console
from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.faces import quality
from agelens.inference import distribution
from agelens.inference.runtime import Model
from corruptions import KINDS, LEVELS, Chip, Faces, degrade, run, spaced

EVERY = 4  # of the training faces
WAYS = 20
FALSE_ALARMS = 0.01
ASKED = 700
DEGRADED = 200

ODD: dict[str, Callable[[Chip], NDArray]] = {
    "upside_down": lambda chip: np.ascontiguousarray(chip[::-1]),
    "negative": lambda chip: 255 - chip,
    "painted": lambda chip: cv2.stylization(chip, sigma_s=60, sigma_r=0.45),
}
"""What no training face is."""


def main() -> None:
    """Fit, measure and write."""
    given = record.parser(__doc__, data=True, model="fast").parse_args()
    cv2.setNumThreads(1)
    dataset, model = Dataset(given.data), Model(given.model, threads=1)
    parts = dataset.split(0)
    training, rows = parts.train[::EVERY], parts.validation

    fit(measure(dataset, training, quality.hog_features))
    values = measure(dataset, rows, quality.out_of_distribution_score)
    limit = float(np.quantile(values, 1 - FALSE_ALARMS))
    flagged, others = np.flatnonzero(values > limit), np.flatnonzero(values <= limit)
    others = others[:: max(1, len(others) // (ASKED - len(flagged)))]
    clean = Faces.of(dataset, spaced(rows, DEGRADED)).chips
    figures = {
        "data": {"fingerprint": dataset.fingerprint, "split": 0, "part": "validation"},
        "sha256": provenance.sha256(quality.FITTED),
        "fitted_on": len(training), "ways": WAYS, "faces": len(rows), "limit": limit,
        "errors": {
            "model": given.model,
            "flagged": errors(model, Faces.of(dataset, rows[flagged])),
            "others": errors(model, Faces.of(dataset, rows[others])),
        },
        "degraded": len(clean),
        "found": {
            kind: [share_found(degrade(clean, kind, level), limit) for level in LEVELS]
            for kind in track(KINDS, "faults", console=console.err)
        },
        "found_of_odd": {
            name: share_found(np.stack([make(chip) for chip in clean]), limit)
            for name, make in ODD.items()
        },
    }  # fmt: skip
    record.write(given, figures, threads=1)
    record.show({key: figures[key] for key in ("limit", "errors", "found", "found_of_odd")})


def measure(
    dataset: Dataset, rows: NDArray[np.int64], function: Callable[[Chip], Any]
) -> NDArray[np.floating]:
    """Compute something of the chips of some rows, one after the other."""
    read = chips.reader(dataset)
    return np.array([function(read(int(row))) for row in track(rows, "chips", console=console.err)])


def fit(features: NDArray[np.floating]) -> None:
    """Fit the mean and the principal components of features (N, 576), and write them."""
    mean, off = features.mean(axis=0), features - features.mean(axis=0)
    _, components = np.linalg.eigh(off.T @ off / len(off))
    first = components[:, ::-1][:, :WAYS].T
    np.savez(quality.FITTED, mean=mean.astype(np.float16), ways=first.astype(np.float16))


def share_found(faces: Chip, limit: float) -> float:
    """Return the share of chips that pass the limit."""
    return float(np.mean([quality.out_of_distribution_score(chip) > limit for chip in faces]))


def errors(model: Model, faces: Faces) -> dict[str, float]:
    """Return the errors of the model on some faces."""
    answers = run(model, faces.chips)
    off = np.abs(distribution.median(answers.age_probabilities) - faces.ages)
    wrong = (answers.female_probability >= 0.5) != faces.female
    means = {"age_mae": off, "far_off": off > distribution.LARGE_ERROR, "gender_errors": wrong}
    return {"faces": len(off), **{key: float(values.mean()) for key, values in means.items()}}


if __name__ == "__main__":
    main()
