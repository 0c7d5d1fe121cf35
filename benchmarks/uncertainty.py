"""What is the estimate of uncertainty worth, and when is a face too poorly seen?

    python benchmarks/uncertainty.py --data utkface [--faces 1400] [--degraded 120] [--answers FILE]

The faces are of the validation folds of split 0; test folds are not touched. The first part
measures the risk that is left when the most uncertain predictions are held back.

The second part finds thresholds of face quality. Some faces are degraded step by step, as in
corruptions.py. A step is spoilt when its age error is at least 1.25 times that of the untouched
faces. A threshold stands where the error reaches that factor, but never where more than 1 in 100
untouched faces would be flagged. Its hit rate is the share of spoilt faces that it finds.

--answers keeps the model's predictions, which makes a second run quick. Writes
results/uncertainty.json and docs/pictures/risk-coverage*.svg.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

import record
from agelens import provenance
from agelens.cli import console
from agelens.data.dataset import Dataset
from agelens.data.quality import measure_chip
from agelens.faces import quality
from agelens.faces.detector import Detector
from agelens.inference import distribution
from agelens.inference.runtime import CHIP, Model
from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.results import Reason
from corruptions import Chip, Faces, bytes_of, hand, mask, run, shrink, spaced, sunglasses

PICTURES = record.ROOT / "docs" / "pictures"
RISE = 1.25  # times the error of untouched faces: spoilt
FALSE_ALARMS = 0.01  # of untouched faces, where a limit is set
DETECTED = 60  # faces of a case on which the detector runs too
Values = NDArray[np.float64]
MEASURES = {"sharpness": quality.sharpness, "brightness": quality.brightness}


def cut(chip: Chip, share: float, random: Generator) -> Chip:
    """Blacken a share of the chip at one edge, as where it lies beyond the picture."""
    turn = int(random.integers(4))
    left = np.rot90(chip, turn).copy()
    left[: int(CHIP * share)] = 0
    return np.rot90(left, -turn).copy()


KINDS: dict[str, tuple[Callable[[Chip, Any, Generator], Chip], tuple[float, ...]]] = {
    "small": (lambda chip, side, _: shrink(chip, side), (100, 64, 48, 32, 24, 16, 12)),
    "blur": (lambda chip, sigma, _: cv2.GaussianBlur(chip, (0, 0), sigma), (1, 2, 3, 4, 6, 8)),
    "dark": (lambda chip, light, random: bytes_of(chip * light + random.normal(0, 8, chip.shape)),
             (0.5, 0.3, 0.18, 0.1, 0.05)),
    "bright": (lambda chip, light, _: bytes_of(chip * light + 10), (1.3, 1.6, 2.0, 3.0)),
    "cut": (cut, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "mask": (mask, (0, 2)),
    "sunglasses": (sunglasses, (1, 2)),
    "hand": (hand, (2,)),
    "negative": (lambda chip, *_: 255 - chip, (0,)),
    "upside down": (lambda chip, *_: chip[::-1].copy(), (0,)),
}  # fmt: skip
"""What is done to a face, and the steps (pixels, sigma, share of light, share cut off, level)."""

DETECTOR_KINDS = ("mask", "sunglasses", "hand", "negative", "upside down")


def main() -> None:
    """Predict, measure, draw and write."""
    parser = record.parser(__doc__, data=True, faces=1400, degraded=120)
    parser.add_argument("--answers", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    dataset, detector, model = Dataset(given.data), Detector(), Model("default", threads=1)
    store, rows = Store(given.answers, model), dataset.split(0).validation
    plain = Answered.of(store, "plain", Faces.of(dataset, spaced(rows, given.faces)))
    pose = store.get("plain/turned", lambda: np.abs([  # how far the nose is off the middle line
        measure_chip(chip, detector).get("yaw", np.nan) for chip in plain.faces.chips
    ]))  # fmt: skip
    clean = Answered.of(store, "clean", Faces.of(dataset, spaced(rows, given.degraded)))
    cases = [case("clean", 0, clean, clean, store, detector)]
    steps = [(kind, level) for kind, (_, levels) in KINDS.items() for level in levels]
    for number, (kind, level) in enumerate(track(steps, console=console.err), 1):
        made = np.stack([
            KINDS[kind][0](chip, level, np.random.default_rng([number, i]))
            for i, chip in enumerate(clean.faces.chips)
        ])  # fmt: skip
        faces = Faces(made, clean.faces.ages, clean.faces.female)
        degraded = Answered.of(store, f"{kind}/{level:g}", faces)
        cases.append(case(kind, level, degraded, clean, store, detector))
    figures = {
        "model": model.card.get("name"), "sha256": store.digest,
        "data": {"fingerprint": dataset.fingerprint, "split": 0, "part": "validation"},
        "faces": len(plain.off), "degraded": len(clean.off),
        "risk_coverage": curves(plain), "status": statuses(plain),
        "limits": limits(cases, plain), "turned": by_pose(pose, plain),
        "cases": [{k: v for k, v in one.items() if k != "values"} for one in cases],
    }  # fmt: skip
    record.write(given, figures, threads=1)
    draw(figures["risk_coverage"], len(plain.off))
    record.show({key: figures[key] for key in ("status", "limits")})


class Store:
    """The model's answers about each case, kept in a file between runs where that is wanted."""

    def __init__(self, file: Path | None, model: Model) -> None:
        """Open the store; it ends the program where the file holds answers of another model."""
        self.model, self.digest = model, provenance.sha256(model.path)
        self._file = file
        self._kept: dict[str, NDArray] = {"model": np.array(self.digest)}
        if file is not None and file.is_file():
            self._kept = dict(np.load(file))
            if str(self._kept["model"]) != self.digest:
                sys.exit(f"{file} holds the answers of another model: name another file")

    def get(self, name: str, make: Callable[[], NDArray]) -> NDArray:
        """Return an array, made now where it is not kept."""
        if name not in self._kept:
            self._kept[name] = make()
            if self._file is not None:
                np.savez(self._file, **self._kept)
        return self._kept[name]


@dataclass(frozen=True)
class Answered:
    """N faces with the model's answers."""

    faces: Faces
    ages: NDArray[np.float32]  # (N, 117), probabilities
    female: NDArray[np.float32]  # (N,), probability
    median: Values  # (N,), years
    off: Values  # (N,), years
    wrong_gender: NDArray[np.bool_]
    assessments: list[distribution.Assessment]

    @classmethod
    def of(cls, store: Store, name: str, faces: Faces) -> "Answered":
        """Predict faces, unless the answers are kept."""

        def predict() -> NDArray:
            output = run(store.model, faces.chips)
            return np.column_stack([output.age_probabilities, output.female_probability])

        answers = store.get(name, predict).astype(np.float32)
        ages, female = answers[:, :-1], answers[:, -1]
        median = distribution.median(ages)
        off, wrong_gender = np.abs(median - faces.ages), (female >= 0.5) != faces.female
        assessments = distribution.assess(median, ages, female)
        return cls(faces, ages, female, median, off, wrong_gender, assessments)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether each answer is over 10 years off, or of the wrong gender."""
        return (self.off > distribution.LARGE_ERROR) | self.wrong_gender

    @property
    def unsure(self) -> NDArray[np.bool_]:
        """Whether each answer is called unsure."""
        return np.array([bool(assessment.reasons) for assessment in self.assessments])

    def errors(self, those: NDArray[np.bool_]) -> dict[str, float]:
        """Return the errors of some of the faces."""
        far_off = self.off > distribution.LARGE_ERROR
        values = {"age_mae": self.off, "far_off": far_off, "gender_errors": self.wrong_gender}
        return {name: float(each[those].mean())
                for name, each in (values | {"wrong": self.wrong}).items()}  # fmt: skip


def case(
    kind: str, level: float, faces: Answered, clean: Answered, store: Store, detector: Detector
) -> dict[str, Any]:
    """Return the figures of one step of one kind."""
    chips = faces.faces.chips
    figures = {
        "kind": kind, "level": level, "age_mae": float(faces.off.mean()),
        "times_clean": float(faces.off.mean() / clean.off.mean()),
        "gender_errors": float(faces.wrong_gender.mean()), "unsure": float(faces.unsure.mean()),
        "values": {key: np.array([f(c) for c in chips]) for key, f in MEASURES.items()},
    }  # fmt: skip
    if kind in (*DETECTOR_KINDS, "clean"):
        scores = store.get(
            f"{kind}/{level:g}/score",
            lambda: np.array([score(chip, detector) for chip in chips[:DETECTED]]),
        )
        figures |= {
            "not_found": float((scores == 0).mean()), "score_median": float(np.median(scores)),
        }  # fmt: skip
        figures["values"]["score"] = scores
    return figures


def score(chip: Chip, detector: Detector) -> float:
    """Return the detector's score of the face in a picture around the chip; 0 if none is found."""
    faces = detector.detect(cv2.copyMakeBorder(chip, 60, 60, 60, 60, cv2.BORDER_REPLICATE))
    return faces[0].score if faces else 0.0


def limits(cases: list[dict[str, Any]], plain: Answered) -> dict[str, Any]:
    """Find where each reason begins, and how often it is right."""
    found: dict[str, Any] = {}

    def steps_of(kind: str) -> list[dict[str, Any]]:
        return [one for one in cases if one["kind"] in ("clean", kind)]

    for reason, kind, key, sign in (
        ("blurred", "blur", "sharpness", 1),
        ("dark", "dark", "brightness", 1),
        ("bright", "bright", "brightness", -1),
    ):
        steps = steps_of(kind)
        spoilt = [one for one in steps if one["times_clean"] >= RISE]
        begin = crossing([float(np.median(one["values"][key])) for one in steps], steps)
        values = sign * np.array([MEASURES[key](chip) for chip in plain.faces.chips])
        rare = float(np.quantile(values, FALSE_ALARMS))
        limit = sign * (rare if begin is None else min(sign * begin, rare))
        flagged = values < sign * limit
        found[reason] = {
            "measure": key, "limit": limit, "begins_at": begin,
            "false_alarms": float(flagged.mean()),
            "age_mae_of_false_alarms": float(plain.off[flagged].mean()) if flagged.any() else None,
            "spoilt_from": spoilt[0]["level"] if spoilt else None,
            "hits": hit_rate(spoilt, key, limit, sign),
        }  # fmt: skip
    small, edge = steps_of("small"), steps_of("cut")
    side = crossing([one["level"] or CHIP for one in small], small)
    found["too_small"] = {"measure": "size", "limit": side}
    share = crossing([one["level"] for one in edge], edge)
    start, stop = quality.CENTRE.start, quality.CENTRE.stop
    found["cut_off"] = {
        "measure": "outside",
        "limit": None if share is None else (share * CHIP - start) / (stop - start),
    }
    scores = cases[0]["values"]["score"]
    low = float(np.quantile(scores, 0.05))
    found["by_score"] = {  # would a low score show that a face is covered or odd?
        "limit": low,
        "false_alarms": float((scores < low).mean()),
        **{
            f"{one['kind']} {one['level']:g}": {
                "times_clean": one["times_clean"], "unsure": one["unsure"],
                "hits": hit_rate([one], "score", low, 1),
            }
            for one in cases if one["kind"] in DETECTOR_KINDS
        },
    }  # fmt: skip
    return found


def crossing(figures: list[float], steps: list[dict]) -> float | None:
    """Return the figure, between those of two steps, at which the error reaches RISE times."""
    points = [(step["times_clean"], figure) for step, figure in zip(steps, figures, strict=True)]
    for (before, low), (after, high) in pairwise(points):
        if after >= RISE:
            return float(low + (RISE - before) / (after - before) * (high - low))
    return None


def hit_rate(cases: list[dict], key: str, limit: float, sign: int) -> float | None:
    """Return the share of the faces of these cases that a limit finds."""
    if not cases:
        return None
    values = np.concatenate([one["values"][key] for one in cases])
    return float((sign * values < sign * limit).mean())


def by_pose(pose: Values, plain: Answered) -> dict[str, Any]:
    """Return the errors by how far faces are turned away."""
    bins = []
    for low, high in pairwise([0, 0.1, 0.2, 0.3, 0.4, 0.5, np.inf]):
        inside = (pose >= low) & (pose < high)
        if inside.any():
            bins.append({"from": low, "faces": int(inside.sum()), **plain.errors(inside)})
            del bins[-1]["far_off"]
    return {"not_found": int(np.isnan(pose).sum()), "bins": bins}


def curves(faces: Answered) -> dict[str, Any]:
    """Return the errors that remain when the most uncertain answers are held back."""
    shares = np.round(np.arange(0.1, 1.001, 0.05), 2)
    found: dict[str, Any] = {"kept": shares.tolist()}
    any_error = np.array([assessment.error_probability for assessment in faces.assessments])
    for key, risk, order in (
        ("age_mae", faces.off, distribution.large_error_probability(faces.median, faces.ages)),
        ("wrong", faces.wrong, any_error),
        ("gender_errors", faces.wrong_gender, np.minimum(faces.female, 1 - faces.female)),
    ):
        found[key] = {"random": float(risk.mean()), "aurc_random": float(risk.mean())}
        for name, by in (("by_doubt", order), ("oracle", risk)):
            ordered = risk[np.argsort(by, kind="stable")].astype(np.float64)
            kept = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)  # mean risk by coverage
            counts = np.maximum(1, np.rint(shares * len(ordered)).astype(int))
            found[key][name] = kept[counts - 1].tolist()
            found[key][f"aurc_{name}"] = float(kept.mean())
    return found


def statuses(faces: Answered) -> dict[str, Any]:
    """Return how often answers are called unsure, and why, and the errors of each group."""
    unsure = faces.unsure
    kinds = {"all": np.full(len(unsure), True), "ok": ~unsure, "unsure": unsure}
    for reason in (Reason.AGE_UNCLEAR, Reason.GENDER_UNCLEAR):
        kinds[reason.value] = np.array([reason in one.reasons for one in faces.assessments])
    found = {name: those for name, those in kinds.items() if those.any()}
    return {name: {"share": float(of.mean()), **faces.errors(of)} for name, of in found.items()}


def draw(curves: dict[str, Any], faces: int) -> None:
    """Draw the two curves."""
    for key, file, axis, share in (
        ("age_mae", "risk-coverage-age.svg", "age MAE of those kept, years", False),
        ("wrong", "risk-coverage.svg", "over 10 years off, or wrong gender", True),
    ):
        one = curves[key]
        kept = [100 * coverage for coverage in curves["kept"]]
        series = {
            "by doubt": Line(kept, one["by_doubt"]),
            "at random": Line(kept, [one["random"]] * len(kept)),
            "knowing the truth": Line(kept, one["oracle"]),
        }
        svg = charts.lines(series, Axes("% of answers kept", axis, faces), share=share)
        (PICTURES / file).write_text(svg, "utf-8")


if __name__ == "__main__":
    main()
