"""Faces that a model can hardly learn from, found by what was measured on every chip.

`paintings.npz` holds a line through the backbone's 1,024 features for each of six ways in which
photos were turned into pictures (watercolour, pencil, ...), fitted and measured on UTKFace by
benchmarks/painting_detection.py; so it is for non-commercial research only.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.exploration.facts import percent
from agelens.data.quality import POINTS
from agelens.faces.alignment import TEMPLATE
from agelens.inference.runtime import CHIP

FILE = Path(__file__).with_name("paintings.npz")
BACKBONE = "faceres-deep"  # the frozen network whose features are taken
TINY = 0.4  # share of the chip's side
CUT_OFF = 0.03  # share of the face's place that is fill
BLURRED = 6.0  # variance of the Laplacian; of UTKFace's chips one in 350 is below
TURNED = 30.0  # degrees
UPSIDE_DOWN = 135.0  # degrees
UPSIDE_SCORE = 0.87  # of the detector; 12 turned chips had 0.91 and more, a false alarm 0.81
MISPLACED = 20.0  # pixels of the 200 px chip, mean of the five points
ONE_TINT = 2.0  # spread of the colour channels


@dataclass(frozen=True, slots=True)
class FaceProblem:
    """Something wrong with one face."""

    row: int
    evidence: str


MEANINGS = {  # "looks painted" is judged only where the network was run
    "no face": "the detector finds none, also in quarter turns",
    "several faces": "a label can belong to one of them only",
    "tiny": f"the face takes under {percent(TINY)} of the chip's side",
    "upside down": f"the detector sees it turned by more than {UPSIDE_DOWN:.0f} degrees",
    "turned": f"the detector sees it turned by more than {TURNED:.0f} degrees",
    "misplaced": f"the five points stand {MISPLACED:.0f} px or more off the template, on average",
    "cut off": f"{percent(CUT_OFF)} or more of the face's place lies beyond the photo's edge",
    "blurred": f"variance of the Laplacian under {BLURRED:.0f}",
    "one tint": "not grey, yet of one colour: old prints, tinted photos, drawings",
    "looks painted": "unlike a photo to a face network: drawings, but also prints, edited photos",
}


def find(
    quality: pl.DataFrame, beyond: NDArray[np.floating],
    looks_painted: NDArray[np.floating] | None = None,
) -> dict[str, list[FaceProblem]]:  # fmt: skip
    """Give the problems by name, the worst first, an empty list where there is none.

    Takes the table of `quality.measure`, how much of each face is beyond the photo's edge (N,),
    by `files.beyond_edge`, and how much each looks painted (N,), by `painting_score`.
    """
    floats = quality.select(pl.exclude("file", "problem").cast(pl.Float64))
    columns = {name: column.to_numpy() for name, column in floats.to_dict().items()}
    side = np.maximum(columns["right"] - columns["left"], columns["bottom"] - columns["top"])
    points = [[columns[f"{point}_{axis}"] for axis in "xy"] for point in POINTS]
    off = np.linalg.norm(np.array(points).transpose(2, 0, 1) - TEMPLATE, axis=2).mean(axis=1)
    roll, sharp, colours = columns["roll"], columns["sharpness"], columns["colours"]
    faces, angle = columns["faces"], np.abs(columns["roll"])
    one = faces == 1
    over = (angle > UPSIDE_DOWN) & (columns["score"] >= UPSIDE_SCORE)
    turned = (angle > TURNED) & (angle <= UPSIDE_DOWN)
    tinted = ~quality["grey"].fill_null(True).to_numpy() & (colours < ONE_TINT)
    # which faces, how bad, the evidence and its value; no comparison finds NaN (not measured)
    rules: dict[str, tuple[Any, Any, str, Any]] = {
        "no face": (faces == 0, -sharp, "no face found", faces),
        "several faces": (faces > 1, faces, "{:.0f} faces found", faces),
        "tiny": (side < TINY * CHIP, -side, f"a face of {{:.0f}} px in a chip of {CHIP}", side),
        "upside down": (over, angle, "seen turned by {:+.0f} degrees", roll),
        "turned": (turned, angle, "seen turned by {:+.0f} degrees", roll),
        "misplaced": (
            (off >= MISPLACED) & ~over & ~turned, off,
            "five points {:.0f} px off the template", off,
        ),
        "cut off": (
            beyond >= CUT_OFF, beyond,
            "{} of the face's place is beyond the photo's edge", [percent(b) for b in beyond],
        ),
        "blurred": (
            one & (sharp < BLURRED), -sharp,
            f"sharpness {{:.1f}}, where {BLURRED:.0f} is little", sharp,
        ),
        "one tint": (tinted, -colours, "colours spread by {:.1f}", colours),
    }  # fmt: skip
    if looks_painted is not None:
        score, limit = looks_painted, shipped_lines().limit
        evidence = f"looks painted or drawn: {{:.1f}}, where {limit:.1f} is much"
        rules["looks painted"] = (one & (score > limit), score, evidence, score)
    found = {}
    for name, (wrong, degree, evidence, values) in rules.items():
        rows = sorted(np.flatnonzero(wrong).tolist(), key=lambda row: (-degree[row], row))
        found[name] = [FaceProblem(row, evidence.format(values[row])) for row in rows]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines through features, each scaled to unit deviation over photos."""

    mean: NDArray[np.float32]  # (F,), of photos
    weights: NDArray[np.float32]  # (K, F)
    limit: float  # of the score, which one photo in 500 passes


def painting_score(
    features: NDArray[np.floating], lines: Lines | None = None
) -> NDArray[np.float64]:
    """Give how much faces look painted, (N,): the furthest along any line, in deviations.

    Takes the backbone's features (N, F). Prints in dots, masks and strongly edited photos look so
    too; soft oil paintings and statues often do not.
    """
    lines = lines or shipped_lines()
    along = (flat(features) - lines.mean) @ lines.weights.T
    return np.asarray(along.max(axis=1), np.float64)


def flat(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Take the root of features, which are skewed and never below 0."""
    return np.sqrt(np.maximum(np.asarray(features, np.float32), 0))


@cache
def shipped_lines() -> Lines:
    """Read the lines that come with the package."""
    with np.load(FILE, allow_pickle=False) as kept:
        return Lines(kept["mean"], kept["weights"], float(kept["limit"]))
