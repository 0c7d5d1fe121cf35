"""Does a face come back from a larger picture as the chip it was?

UTKFace chips are pasted into grey pictures at several sizes, each at several angles, and cut out
again by `agelens data align`. Measured is where the places that the eyes had in the published chip
(those of the template) come to stand in the chip that is made, in pixels of a 200 px chip: with
dlib's points, as `align` cuts, and with the detector's five points alone. Writes
results/alignment_accuracy.json.

    python benchmarks/alignment_accuracy.py --data utkface
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens import provenance
from agelens.data import chips
from agelens.data.alignment import align_pictures
from agelens.data.dataset import Dataset
from agelens.data.dlib_alignment import Cutter
from agelens.faces.alignment import SIDE, TEMPLATE, similarity
from agelens.faces.detector import Detector
from agelens.results import Landmarks

RESULT = Path(__file__).parent / "results" / "alignment_accuracy.json"
SCALES = (0.5, 1.0, 2.0, 4.0)
TURNS = 2  # angles of each chip at each size, drawn by chance from the whole circle
NEAR = 3.0  # pixels
POINTS = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")


def main() -> None:
    """Paste, align, measure, and write."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--faces", type=int, default=25)
    given = options.parse_args()
    dataset, random = Dataset(given.data), np.random.default_rng(0)
    read = chips.reader(dataset)
    rows = np.sort(random.choice(len(dataset), given.faces, replace=False)).tolist()
    detector, cutter = Detector(), Cutter()
    by_scale = {
        scale: one_scale([read(row) for row in rows], scale, random, detector, cutter)
        for scale in SCALES
    }
    every = [row for found in by_scale.values() for row in found]
    result = {
        "command": f"python benchmarks/alignment_accuracy.py --data {given.data.name}",
        "date": provenance.now(),
        "machine": provenance.machine(1),
        "versions": provenance.versions(),
        "faces": given.faces,
        "turns": TURNS,
        "near_px": NEAR,
        "all": figures(every),
        "by_scale": {str(scale): figures(found) for scale, found in by_scale.items()},
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


def one_scale(
    faces: list[NDArray[np.uint8]], scale: float, random: np.random.Generator, detector: Detector,
    cutter: Cutter,
) -> list[dict[str, float] | None]:  # fmt: skip
    """Paste and align every chip; give how far eyes are off, None where no face came back."""
    measured: list[dict[str, float] | None] = []
    with tempfile.TemporaryDirectory() as folder:
        source, dest = Path(folder) / "pictures", Path(folder) / "aligned"
        source.mkdir()
        pasted = {}
        for chip in faces:
            for turn in random.uniform(-180, 180, TURNS):
                picture, matrix = paste(chip, scale, float(turn))
                name = f"{len(pasted):05}.png"
                cv2.imwrite(str(source / name), picture[..., ::-1])
                pasted[name] = (picture, matrix)
        align_pictures(source, dest, workers=1, detector=detector)
        with (dest / "chips.csv").open(encoding="utf-8", newline="") as file:
            found = {row["picture"]: row for row in csv.DictReader(file)}
        for name, (picture, matrix) in pasted.items():
            if name not in found:
                measured.append(None)
                continue
            row = found[name]
            points = np.array([(float(row[p + "_x"]), float(row[p + "_y"])) for p in POINTS])
            ways = {
                "as_cut": cutter.place(picture, Landmarks.from_array(points)),
                "by_five_points": np.linalg.inv(
                    np.vstack([similarity(points, TEMPLATE), [0, 0, 1]])
                ),
            }
            eyes = moved(TEMPLATE[:2], matrix)
            measured.append({
                way: float(np.linalg.norm(
                    moved(eyes, np.linalg.inv(back)[:2]) - TEMPLATE[:2], axis=1).max())
                for way, back in ways.items()
            })  # fmt: skip
    return measured


def moved(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a matrix (2, 3) to points (N, 2)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def paste(
    chip: NDArray[np.uint8], scale: float, degrees: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Lay a chip on a larger grey picture; give also the matrix (2, 3) from chip to picture."""
    side = round(SIDE * scale * 1.9) + 60
    matrix = np.asarray(cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, scale))
    matrix[:, 2] += side / 2 - SIDE / 2
    canvas = np.full((side, side, 3), 110, np.uint8)
    if scale < 1:  # so that fine detail does not alias
        small = max(1, round(SIDE * scale))
        chip = np.asarray(cv2.resize(chip, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
    drawn = matrix.copy()
    drawn[:, :2] *= SIDE / chip.shape[0]
    cv2.warpAffine(chip, drawn, (side, side), canvas, cv2.INTER_CUBIC, cv2.BORDER_TRANSPARENT)
    return canvas, matrix


def figures(rows: list[dict[str, float] | None]) -> dict:
    """Sum up distances in pixels, of the worse eye of each face."""
    there = [row for row in rows if row is not None]
    summed: dict = {"pictures": len(rows), "without_a_face": len(rows) - len(there)}
    for name in ("as_cut", "by_five_points"):
        off = np.array([row[name] for row in there])
        summed[name] = {
            "median_px": round(float(np.median(off)), 2),
            "p90_px": round(float(np.percentile(off, 90)), 2),
            f"within_{NEAR:g}_px": round(float((off <= NEAR).mean()), 4),
        }
    return summed


if __name__ == "__main__":
    main()
