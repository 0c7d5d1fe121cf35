"""Does a face come back from a larger picture as the chip it was?

UTKFace chips are pasted into grey pictures at several sizes, each at several angles, and cut out
again by `agelens data align`. Measured is where the places that the eyes had in the published chip
(those of the template) come to stand in the chip that is made, in pixels of a 200 px chip: with
dlib's points, as `align` cuts, and with the detector's five points alone. Writes
results/alignment_accuracy.json.

    python benchmarks/alignment_accuracy.py --data utkface
"""

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

import record
from agelens.data import chips
from agelens.data.alignment import Cutter, align_pictures
from agelens.data.dataset import Dataset
from agelens.faces.alignment import SIDE, TEMPLATE, similarity
from agelens.faces.detector import Detector
from agelens.results import Landmarks

SCALES = (0.5, 1.0, 2.0, 4.0)
TURNS = 2  # angles of each chip at each size, drawn by chance from the whole circle
NEAR = 3.0  # pixels
POINTS = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")


def main() -> None:
    """Paste, align, measure, and write."""
    given = record.parser(__doc__, data=True, faces=25).parse_args()
    dataset, random = Dataset(given.data), np.random.default_rng(0)
    read = chips.reader(dataset)
    rows = np.sort(random.choice(len(dataset), given.faces, replace=False)).tolist()
    faces = [read(row) for row in rows]
    by_scale = {str(scale): one_scale(faces, scale, random) for scale in SCALES}
    found = {
        "faces": given.faces, "turns": TURNS, "near_px": NEAR,
        "all": figures([row for rows in by_scale.values() for row in rows]),
        "by_scale": {scale: figures(rows) for scale, rows in by_scale.items()},
    }  # fmt: skip
    record.show(record.write(given, found, threads=1))


def one_scale(
    faces: list[NDArray[np.uint8]], scale: float, random: np.random.Generator
) -> list[dict[str, float] | None]:
    """Paste and align every chip; return how far eyes are off, None where no face came back."""
    cutter, pasted = Cutter(), {}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "pictures", Path(folder) / "aligned"
        source.mkdir()
        for chip in faces:
            for turn in random.uniform(-180, 180, TURNS):
                picture, matrix = paste(chip, scale, float(turn))
                name = f"{len(pasted):05}.png"
                cv2.imwrite(str(source / name), picture[..., ::-1])
                pasted[name] = (picture, matrix)
        align_pictures(source, target, workers=1, detector=Detector())
        found = pl.read_csv(target / "chips.csv").rows_by_key("picture", named=True, unique=True)
    return [
        eye_errors(picture, matrix, found[name], cutter) if name in found else None
        for name, (picture, matrix) in pasted.items()
    ]


def eye_errors(
    picture: NDArray[np.uint8], matrix: NDArray[np.float64], row: dict[str, float], cutter: Cutter
) -> dict[str, float]:
    """Return how far the worse eye is from its place in the chip, in pixels, by each way to cut."""
    points = np.array([(row[p + "_x"], row[p + "_y"]) for p in POINTS])
    five = np.linalg.inv(np.vstack([similarity(points, TEMPLATE), [0, 0, 1]]))
    ways = {"as_cut": cutter.place(picture, Landmarks.from_array(points)), "by_five_points": five}
    eyes = moved(TEMPLATE[:2], matrix)
    off = {way: moved(eyes, np.linalg.inv(back)[:2]) - TEMPLATE[:2] for way, back in ways.items()}
    return {way: float(np.linalg.norm(each, axis=1).max()) for way, each in off.items()}


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


def figures(rows: list[dict[str, float] | None]) -> dict[str, Any]:
    """Sum up distances in pixels, of the worse eye of each face."""
    table = pl.DataFrame([row for row in rows if row is not None])
    summed: dict[str, Any] = {"pictures": len(rows), "without_a_face": len(rows) - len(table)}
    for off in table:
        summed[off.name] = {
            "median_px": round(off.median(), 2),
            "p90_px": round(off.quantile(0.9, "linear"), 2),
            f"within_{NEAR:g}_px": round((off <= NEAR).mean(), 4),
        }
    return summed


if __name__ == "__main__":
    main()
