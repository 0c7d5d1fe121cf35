"""Faces that a model can hardly learn from, found by what was measured on every chip."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.data.audit import paintings
from agelens.data.exploration.formats import percent
from agelens.data.quality import POINTS
from agelens.faces.alignment import TEMPLATE
from agelens.inference.runtime import CHIP

_SIDES = (("left", "right"), ("top", "bottom"))
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
    degree: float  # the larger the worse, to sort by


MEANINGS = {
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
"""What each problem means; "looks painted" is judged only where the network was run."""


def find(
    quality: pl.DataFrame,
    beyond: NDArray[np.floating],
    looks_painted: NDArray[np.floating] | None = None,
) -> dict[str, list[FaceProblem]]:
    """Give the problems by name, the worst first, an empty list where there is none.

    Takes the table of `quality.measure`, how much of each face is beyond the photo's edge (N,),
    by `files.beyond_edge`, and how much each looks painted (N,), by `paintings.score`.
    """
    side = np.maximum(*(_column(quality, b) - _column(quality, a) for a, b in _SIDES))
    roll, off = _column(quality, "roll"), _misplaced(quality)
    sharp, colours = _column(quality, "sharpness"), _column(quality, "colours")
    faces = quality["faces"].to_numpy().astype(np.float64)
    tinted = ~quality["grey"].fill_null(True).to_numpy() & (colours < ONE_TINT)
    one = faces == 1
    over = (np.abs(roll) > UPSIDE_DOWN) & (_column(quality, "score") >= UPSIDE_SCORE)
    turned = (np.abs(roll) > TURNED) & (np.abs(roll) <= UPSIDE_DOWN)
    found = {
        "no face": _problems(faces == 0, -sharp, lambda row: "no face found"),
        "several faces": _problems(faces > 1, faces, lambda row: f"{faces[row]:.0f} faces found"),
        "tiny": _problems(
            side < TINY * CHIP, -side,
            lambda row: f"a face of {side[row]:.0f} px in a chip of {CHIP}",
        ),
        "upside down": _problems(
            over, np.abs(roll),
            lambda row: f"seen turned by {roll[row]:+.0f} degrees",
        ),
        "turned": _problems(
            turned, np.abs(roll),
            lambda row: f"seen turned by {roll[row]:+.0f} degrees",
        ),
        "misplaced": _problems(
            (off >= MISPLACED) & ~over & ~turned, off,
            lambda row: f"five points {off[row]:.0f} px off the template",
        ),
        "cut off": _problems(
            beyond >= CUT_OFF, beyond,
            lambda row: f"{percent(beyond[row])} of the face's place is beyond the photo's edge",
        ),
        "blurred": _problems(
            one & (sharp < BLURRED), -sharp,
            lambda row: f"sharpness {sharp[row]:.1f}, where {BLURRED:.0f} is little",
        ),
        "one tint": _problems(
            tinted, -colours, lambda row: f"colours spread by {colours[row]:.1f}"
        ),
    }  # fmt: skip
    if looks_painted is not None:
        score, limit = looks_painted, paintings.shipped().limit
        found["looks painted"] = _problems(
            one & (score > limit), score,
            lambda row: f"looks painted or drawn: {score[row]:.1f}, where {limit:.1f} is much",
        )  # fmt: skip
    return found


def _problems(
    wrong: NDArray[np.bool_], degree: NDArray[np.floating], evidence: Callable[[int], str]
) -> list[FaceProblem]:
    # what was not measured is NaN, which no comparison finds
    rows = np.flatnonzero(wrong).tolist()
    found = [FaceProblem(row, evidence(row), float(degree[row])) for row in rows]
    return sorted(found, key=lambda problem: (-problem.degree, problem.row))


def _misplaced(quality: pl.DataFrame) -> NDArray[np.float64]:
    """Give how far the five points stand off the template on average, pixels (N,)."""
    points = [[_column(quality, f"{point}_{axis}") for axis in "xy"] for point in POINTS]
    off = np.array(points).transpose(2, 0, 1) - TEMPLATE
    return np.asarray(np.linalg.norm(off, axis=2).mean(axis=1), np.float64)


def _column(quality: pl.DataFrame, name: str) -> NDArray[np.float64]:
    return quality[name].cast(pl.Float64).to_numpy()
