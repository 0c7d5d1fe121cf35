"""What doubt is worth: the risk that is left when doubtful answers are held back, and the limits
from which a face is not seen well enough.

    python benchmarks/uncertainty.py --data utkface [--faces 1400] [--degraded 120] [--answers FILE]

Faces are of the validation folds of split 0; test folds are not touched. Some of them are degraded
step by step, as in corruptions.py. A step whose age error is at least 1.25 times that of the same
faces untouched is called spoilt, and a limit stands where the error reaches that, yet never where
more than 1 in 100 untouched faces would be called poor. How many of the spoilt faces it finds is
its hit rate. Size and edge are known, not guessed, so there every spoilt face is found.

--answers keeps what the model said, so that a second run is quick. Writes results/uncertainty.json
and docs/pictures/risk-coverage*.svg.
"""

import argparse
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

from agelens import doctor, provenance
from agelens.cli import console
from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.data.quality import measure_chip
from agelens.faces import quality as seeing
from agelens.faces.detector import Detector
from agelens.inference import distribution, uncertainty
from agelens.inference.runtime import CHIP, Model
from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.results import Reason
from corruptions import Chip, ask, bytes_of, hand, mask, sunglasses

HERE = Path(__file__).parent
RESULT = HERE / "results" / "uncertainty.json"
PICTURES = HERE.parent / "docs" / "pictures"
RISE = 1.25  # times the error of untouched faces: spoilt
FALSE_ALARMS = 0.01  # of untouched faces, where a limit is set
DETECTED = 60  # faces of a case that the detector is asked about too
Values = NDArray[np.float64]


def small(chip: Chip, side: float, _: Generator) -> Chip:
    """Few pixels under the chip."""
    tiny = cv2.resize(chip, (int(side), int(side)), interpolation=cv2.INTER_AREA)
    return cv2.resize(tiny, (CHIP, CHIP), interpolation=cv2.INTER_CUBIC)


def blur(chip: Chip, sigma: float, _: Generator) -> Chip:
    """Out of focus, by pixels of the chip."""
    return cv2.GaussianBlur(chip, (0, 0), sigma)


def dark(chip: Chip, light: float, random: Generator) -> Chip:
    """A share of the light, with noise."""
    return bytes_of(chip * float(light) + random.normal(0, 8, chip.shape))


def bright(chip: Chip, light: float, _: Generator) -> Chip:
    """Too much light."""
    return bytes_of(chip * float(light) + 10)  # a whole number would wrap bytes round


def cut(chip: Chip, share: float, random: Generator) -> Chip:
    """A share of the chip beyond one edge of the picture."""
    turn = int(random.integers(4))
    left = np.rot90(chip, turn).copy()
    left[: int(CHIP * share)] = 0
    return np.rot90(left, -turn).copy()


def negative(chip: Chip, _: float, __: Generator) -> Chip:
    """A photographic negative: unlike all of the training."""
    return 255 - chip


def upside_down(chip: Chip, _: float, __: Generator) -> Chip:
    """Standing on its head, as no aligned chip is."""
    return chip[::-1].copy()


def covered(
    how: Callable[[Chip, int, Generator], Chip],
) -> Callable[[Chip, float, Generator], Chip]:
    """Make one of the covers of corruptions.py, by its level."""
    return lambda chip, level, random: how(chip, int(level), random)


KINDS: dict[str, tuple[Callable[[Chip, float, Generator], Chip], tuple[float, ...]]] = {
    "small": (small, (100, 64, 48, 32, 24, 16, 12)),
    "blur": (blur, (1, 2, 3, 4, 6, 8)),
    "dark": (dark, (0.5, 0.3, 0.18, 0.1, 0.05)),
    "bright": (bright, (1.3, 1.6, 2, 3)),
    "cut": (cut, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "mask": (covered(mask), (0, 2)),
    "sunglasses": (covered(sunglasses), (1, 2)),
    "hand": (covered(hand), (2,)),
    "negative": (negative, (0,)),
    "upside down": (upside_down, (0,)),
}
"""What is done to a face, and the steps."""

DETECTOR_ASKED = ("mask", "sunglasses", "hand", "negative", "upside down")


class Answers:
    """What the model said of each case, kept in a file between runs where that is wanted."""

    def __init__(self, file: Path | None, digest: str) -> None:
        self.file = file
        self.kept: dict[str, NDArray] = {"model": np.array(digest)}
        if file is not None and file.is_file():
            self.kept = dict(np.load(file))
            if str(self.kept["model"]) != digest:
                sys.exit(f"{file} holds the answers of another model: name another file")

    def of(self, name: str, make: Callable[[], NDArray]) -> NDArray:
        """Give an array, made now where it is not kept."""
        if name not in self.kept:
            self.kept[name] = make()
            if self.file is not None:
                np.savez(self.file, **self.kept)
        return self.kept[name]


def main() -> None:
    """Ask, measure, draw and write."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--faces", type=int, default=1400)
    options.add_argument("--degraded", type=int, default=120)
    options.add_argument("--answers", type=Path)
    given = options.parse_args()
    cv2.setNumThreads(1)
    dataset = Dataset(given.data)
    model, detector = Model("default", threads=1), Detector()
    digest = doctor.sha256(model.path)
    answers = Answers(given.answers, digest)

    rows = some(dataset.split(0).validation, given.faces)
    plain = Faces(dataset, rows, answers, "plain", model)
    pose = answers.of("plain/turned", lambda: np.array([turned(c, detector) for c in plain.chips]))
    figures = {key: np.array([f(c) for c in plain.chips]) for key, f in MEASURES.items()}

    few = some(dataset.split(0).validation, given.degraded)
    clean = Faces(dataset, few, answers, "clean", model)
    cases = [case("clean", 0, clean, clean, answers, detector)]
    steps = [(kind, level) for kind, (_, levels) in KINDS.items() for level in levels]
    for number, (kind, level) in enumerate(track(steps, console=console.err), 1):
        how = KINDS[kind][0]
        made = np.stack([
            how(chip, level, np.random.default_rng([number, i]))
            for i, chip in enumerate(clean.chips)
        ])  # fmt: skip
        faces = Faces(dataset, few, answers, f"{kind}/{level:g}", model, made)
        cases.append(case(kind, level, faces, clean, answers, detector))

    result = {
        "command": f"python benchmarks/uncertainty.py --data {given.data.name}",
        "date": provenance.now(),
        "machine": provenance.machine(1),
        "versions": provenance.versions(),
        "model": model.card.get("name"),
        "sha256": digest,
        "data": {"fingerprint": dataset.fingerprint, "split": 0, "part": "validation"},
        "faces": len(rows),
        "degraded": len(few),
        "risk_coverage": curves(plain),
        "status": statuses(plain),
        "limits": limits(cases, figures, plain),
        "turned": by_pose(pose, plain),
        "cases": [{k: v for k, v in one.items() if k != "values"} for one in cases],
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    draw(result["risk_coverage"], len(rows))
    json.dump({key: result[key] for key in ("status", "limits")}, sys.stdout, indent=1)


class Faces:
    """Some chips, their labels, and the model's answers."""

    def __init__(
        self, dataset: Dataset, rows: NDArray[np.int64], answers: Answers, name: str,
        model: Model, made: Chip | None = None,
    ) -> None:  # fmt: skip
        read = chips.reader(dataset)
        self.chips = np.stack([read(int(row)) for row in rows]) if made is None else made
        samples = dataset.samples[rows]
        labels = samples["age"].to_numpy().astype(np.float64)
        women = (samples["gender"] == "female").to_numpy()

        def say() -> NDArray:
            said = ask(model, self.chips)
            return np.column_stack([said.age_probabilities, said.female_probability])

        said = answers.of(name, say)
        self.ages = said[:, :-1].astype(np.float32)
        self.female = said[:, -1].astype(np.float32)
        points = distribution.median(self.ages)
        self.off = np.abs(points - labels)
        self.wrong_gender = (self.female >= 0.5) != women
        self.wrong = (self.off > uncertainty.LARGE_ERROR) | self.wrong_gender
        self.verdicts = uncertainty.assess(points, self.ages, self.female)
        self.doubt = np.array([verdict.error_probability for verdict in self.verdicts])


MEASURES: dict[str, Callable[[Chip], float]] = {
    "sharpness": seeing.sharpness,
    "brightness": seeing.brightness,
}


def some(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Take about every n-th row."""
    return rows[:: max(1, len(rows) // count)][:count]


def turned(chip: Chip, detector: Detector) -> float:
    """Give how far the nose is off the middle line, in eye distances; not a number if unknown."""
    return abs(measure_chip(chip, detector).get("yaw", float("nan")))


def case(
    kind: str, level: float, faces: Faces, clean: Faces, answers: Answers, detector: Detector
) -> dict:
    """Give the figures of one step of one kind."""
    told = {
        "kind": kind,
        "level": level,
        "age_mae": float(faces.off.mean()),
        "times_clean": float(faces.off.mean() / clean.off.mean()),
        "gender_errors": float(faces.wrong_gender.mean()),
        "unsure": float(np.mean([bool(v.reasons) for v in faces.verdicts])),
        "values": {key: np.array([f(c) for c in faces.chips]) for key, f in MEASURES.items()},
    }
    if kind in (*DETECTOR_ASKED, "clean"):
        scores = answers.of(
            f"{kind}/{level:g}/score",
            lambda: np.array([score(chip, detector) for chip in faces.chips[:DETECTED]]),
        )
        told["not_found"] = float((scores == 0).mean())
        told["score_median"] = float(np.median(scores))
        told["values"]["score"] = scores
    return told


def score(chip: Chip, detector: Detector) -> float:
    """Give the detector's score of the face in a picture around the chip; 0 where none is found."""
    faces = detector.detect(cv2.copyMakeBorder(chip, 60, 60, 60, 60, cv2.BORDER_REPLICATE))
    return faces[0].score if faces else 0.0


def limits(cases: list[dict], figures: dict[str, Values], plain: Faces) -> dict:
    """Find where each reason begins, and how often it is right."""
    found: dict = {}
    for reason, kind, key, sign in (
        ("blurred", "blur", "sharpness", 1),
        ("dark", "dark", "brightness", 1),
        ("bright", "bright", "brightness", -1),
    ):
        steps = [cases[0], *(c for c in cases if c["kind"] == kind)]
        spoilt = [c for c in steps if c["times_clean"] >= RISE]
        begin = crossing([float(np.median(c["values"][key])) for c in steps], steps)
        rare = sign * float(np.quantile(sign * figures[key], FALSE_ALARMS))
        limit = rare if begin is None else sign * min(sign * begin, sign * rare)
        flagged = sign * figures[key] < sign * limit
        found[reason] = {
            "measure": key,
            "limit": limit,
            "begins_at": begin,
            "false_alarms": float(flagged.mean()),
            "age_mae_of_false_alarms": float(plain.off[flagged].mean()) if flagged.any() else None,
            "spoilt_from": spoilt[0]["level"] if spoilt else None,
            "hits": hit_rate(spoilt, key, limit, sign),
        }
    small = [c for c in cases if c["kind"] in ("clean", "small")]
    side = crossing([c["level"] or CHIP for c in small], small)
    found["too_small"] = {"measure": "size", "limit": side}
    edge = [c for c in cases if c["kind"] in ("clean", "cut")]
    share = crossing([c["level"] for c in edge], edge)
    start, stop = seeing.CENTRE.start, seeing.CENTRE.stop
    found["cut_off"] = {
        "measure": "outside",
        "limit": None if share is None else (share * CHIP - start) / (stop - start),
    }
    scores = cases[0]["values"]["score"]
    low = float(np.quantile(scores, 0.05))
    found["by_score"] = {  # would a low score tell that a face is covered or odd?
        "limit": low,
        "false_alarms": float((scores < low).mean()),
        **{
            f"{c['kind']} {c['level']:g}": {
                "times_clean": c["times_clean"],
                "hits": hit_rate([c], "score", low, 1),
                "unsure": c["unsure"],
            }
            for c in cases
            if c["kind"] in DETECTOR_ASKED
        },
    }
    return found


def crossing(figures: list[float], steps: list[dict]) -> float | None:
    """Give the figure, between those of two steps, at which the error reaches RISE times."""
    times = [step["times_clean"] for step in steps]
    for i in range(1, len(steps)):
        if times[i] >= RISE:
            share = (RISE - times[i - 1]) / (times[i] - times[i - 1])
            return float(figures[i - 1] + share * (figures[i] - figures[i - 1]))
    return None


def hit_rate(cases: list[dict], key: str, limit: float, sign: int) -> float | None:
    """Give the share of the faces of these cases that a limit finds."""
    if not cases:
        return None
    values = np.concatenate([one["values"][key] for one in cases])
    return float((sign * values < sign * limit).mean())


def by_pose(pose: Values, plain: Faces) -> dict:
    """Give the errors by how far faces are turned away."""
    edges = [0, 0.1, 0.2, 0.3, 0.4, 0.5, np.inf]
    seen = []
    for low, high in pairwise(edges):
        inside = (pose >= low) & (pose < high)
        if inside.any():
            seen.append({
                "from": low,
                "faces": int(inside.sum()),
                "age_mae": float(plain.off[inside].mean()),
                "gender_errors": float(plain.wrong_gender[inside].mean()),
                "wrong": float(plain.wrong[inside].mean()),
            })  # fmt: skip
    return {"not_found": int(np.isnan(pose).sum()), "bins": seen}


def curves(faces: Faces) -> dict:
    """Give what is left of the errors when the most doubtful answers are held back."""
    shares = np.round(np.arange(0.1, 1.001, 0.05), 2)
    told: dict = {"kept": shares.tolist()}
    risks = {"age_mae": faces.off, "wrong": faces.wrong, "gender_errors": faces.wrong_gender}
    age_risk = uncertainty.large_error_probability(distribution.median(faces.ages), faces.ages)
    order = {
        "age_mae": age_risk,
        "wrong": faces.doubt,
        "gender_errors": np.minimum(faces.female, 1 - faces.female),
    }
    for key, risk in risks.items():
        risk = risk.astype(np.float64)
        by_doubt, oracle = risk[np.argsort(order[key], kind="stable")], np.sort(risk)
        told[key] = {
            "by_doubt": kept_risk(by_doubt, shares),
            "oracle": kept_risk(oracle, shares),
            "random": float(risk.mean()),
            "aurc_by_doubt": area(by_doubt),
            "aurc_oracle": area(oracle),
            "aurc_random": float(risk.mean()),
        }
    return told


def kept_risk(ordered: Values, shares: Values) -> list[float]:
    """Give the mean risk of the first shares of an order."""
    return [float(ordered[: max(1, round(share * len(ordered)))].mean()) for share in shares]


def area(ordered: Values) -> float:
    """Give the area under risk against coverage (AURC): the mean over all coverages."""
    return float((np.cumsum(ordered) / np.arange(1, len(ordered) + 1)).mean())


def statuses(faces: Faces) -> dict:
    """Give how often answers are called unsure, and why, and what they and the others are worth."""
    unsure = np.array([bool(verdict.reasons) for verdict in faces.verdicts])
    kinds = {"all": np.full(len(unsure), True), "ok": ~unsure, "unsure": unsure}
    for reason in (Reason.AGE_UNCLEAR, Reason.GENDER_UNCLEAR):
        kinds[reason.value] = np.array([reason in verdict.reasons for verdict in faces.verdicts])
    return {
        name: {
            "share": float(those.mean()),
            "age_mae": float(faces.off[those].mean()),
            "far_off": float((faces.off[those] > uncertainty.LARGE_ERROR).mean()),
            "gender_errors": float(faces.wrong_gender[those].mean()),
            "wrong": float(faces.wrong[those].mean()),
        }
        for name, those in kinds.items()
        if those.any()
    }


def draw(told: dict, faces: int) -> None:
    """Draw the two curves."""
    for key, file, axis, share in (
        ("age_mae", "risk-coverage-age.svg", "age MAE of those kept, years", False),
        ("wrong", "risk-coverage.svg", "over 10 years off, or wrong gender", True),
    ):
        one = told[key]
        kept = [100 * share_ for share_ in told["kept"]]
        flat = [one["random"]] * len(kept)
        series = {
            "by doubt": Line(kept, one["by_doubt"]),
            "at random": Line(kept, flat),
            "knowing the truth": Line(kept, one["oracle"]),
        }
        svg = charts.lines(series, Axes("% of answers kept", axis, faces), share=share)
        (PICTURES / file).write_text(svg, "utf-8")


if __name__ == "__main__":
    main()
