"""Which faces are unlike those of the training, and does it pay to say so?

    python benchmarks/out_of_distribution.py --data utkface [--model fast]

The outlines of every fourth training face of split 0 are fitted
(agelens.faces.out_of_distribution). The limit is passed by 1 in 100 validation faces; those and as
many others as make 700 are answered by the model, to see whether its errors are larger. The share
found is measured on 200 validation faces with each fault of corruptions.py, turned upside down,
made a negative, and painted. Test folds are not touched. Writes
results/out_of_distribution.json and src/agelens/faces/out_of_distribution.npz.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from agelens import doctor, provenance
from agelens.cli import console
from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.faces import out_of_distribution
from agelens.inference import distribution, uncertainty
from agelens.inference.runtime import Model
from corruptions import KINDS, Chip, ask, degrade

RESULT = Path(__file__).parent / "results" / "out_of_distribution.json"
EVERY = 4  # of the training faces
WAYS = 20
FALSE_ALARMS = 0.01
ASKED = 700
DEGRADED = 200
Floats = NDArray[np.floating]
Rows = NDArray[np.int64]
Thing = TypeVar("Thing")

ODD: dict[str, Callable[[Chip], NDArray]] = {
    "upside_down": lambda chip: np.ascontiguousarray(chip[::-1]),
    "negative": lambda chip: 255 - chip,
    "painted": lambda chip: cv2.stylization(chip, sigma_s=60, sigma_r=0.45),
}
"""What no training face is."""


def main() -> None:
    """Fit, measure and write."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--model", default="fast")
    given = options.parse_args()
    cv2.setNumThreads(1)
    dataset, model = Dataset(given.data), Model(given.model, threads=1)
    read, parts = chips.reader(dataset), dataset.split(0)

    training, rows = parts.train[::EVERY], parts.validation
    fit(
        np.stack(
            [out_of_distribution.hog_features(read(int(row))) for row in told(training, "fit")]
        )
    )
    values = np.array(
        [
            out_of_distribution.out_of_distribution_score(read(int(row)))
            for row in told(rows, "validation")
        ]
    )
    limit = float(np.quantile(values, 1 - FALSE_ALARMS))

    some = rows[:: len(rows) // DEGRADED][:DEGRADED]
    clean = np.stack([read(int(row)) for row in some])
    found = {
        kind.__name__: [share(degrade(clean, kind.__name__, level), limit) for level in range(3)]
        for kind in told(KINDS, "faults")
    }
    odd = {
        name: share(np.stack([make(chip) for chip in clean]), limit)
        for name, make in told(ODD.items(), "odd")
    }
    result = {
        "command": provenance.command(
            ["python", "benchmarks/out_of_distribution.py", *sys.argv[1:]]
        ),
        "date": provenance.now(),
        "machine": provenance.machine(1),
        "versions": provenance.versions(),
        "data": {"fingerprint": dataset.fingerprint, "split": 0, "part": "validation"},
        "sha256": doctor.sha256(out_of_distribution.FILE),
        "fitted_on": len(training),
        "ways": WAYS,
        "faces": len(rows),
        "limit": limit,
        "errors": {"model": given.model, **errors(dataset, model, rows, values > limit)},
        "degraded": len(some),
        "found": found,
        "found_of_odd": odd,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    shown = ("limit", "errors", "found", "found_of_odd")
    json.dump({key: result[key] for key in shown}, sys.stdout, indent=1)


def told(things: Iterable[Thing], what: str) -> Iterable[Thing]:
    """Go through things with a progress bar."""
    return track(list(things), what, console=console.err)


def fit(outlines: Floats) -> None:
    """Fit the ways to differ, of outlines (N, 576), and write them."""
    mean = outlines.mean(axis=0)
    off = outlines - mean
    _, ways = np.linalg.eigh(off.T @ off / len(off))
    main_ways = ways[:, ::-1][:, :WAYS].T
    np.savez(
        out_of_distribution.FILE, mean=mean.astype(np.float16), ways=main_ways.astype(np.float16)
    )


def share(made: Chip, limit: float) -> float:
    """Give the share of chips that pass the limit."""
    return float(
        np.mean([out_of_distribution.out_of_distribution_score(chip) > limit for chip in made])
    )


def errors(dataset: Dataset, model: Model, rows: Rows, flagged: NDArray[np.bool_]) -> dict:
    """Give the errors of the flagged and of some of the others."""
    others = np.flatnonzero(~flagged)
    others = others[:: max(1, len(others) // (ASKED - int(flagged.sum())))]
    return {
        "flagged": of(dataset, model, rows[flagged]),
        "others": of(dataset, model, rows[others]),
    }


def of(dataset: Dataset, model: Model, rows: Rows) -> dict:
    """Give the errors of the model on some rows."""
    read = chips.reader(dataset)
    said = ask(model, np.stack([read(int(row)) for row in rows]))
    samples = dataset.samples[rows]
    off = np.abs(distribution.median(said.age_probabilities) - samples["age"].to_numpy())
    wrong = (said.female_probability >= 0.5) != (samples["gender"] == "female").to_numpy()
    return {
        "faces": len(rows),
        "age_mae": float(off.mean()),
        "far_off": float((off > uncertainty.LARGE_ERROR).mean()),
        "gender_errors": float(wrong.mean()),
    }


if __name__ == "__main__":
    main()
