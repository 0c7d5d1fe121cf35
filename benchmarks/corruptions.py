"""How well does a model stand what people's photos are like? Degraded validation chips.

    python benchmarks/corruptions.py MODEL... --data DATASET [--faces 1000]

Each of the kinds below is applied at three severities to the same validation faces of split 0;
age MAE, age bias (also of children and of people over 60) and gender accuracy are printed and
written to results/corruptions.json. Test folds are not touched, and the labels stay as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self

import cv2
import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

import record
from agelens.cli import console
from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.evaluation import metrics
from agelens.inference import distribution
from agelens.inference.runtime import CHIP, Model, Output

Chip = NDArray[np.uint8]
EYES = ((59, 58), (138, 60))  # of the UTKFace template
GREY = np.array([0.299, 0.587, 0.114], np.float32)
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)


def low_light(chip: Chip, level: int, random: Generator) -> Chip:
    """Leave little light, and add the noise that comes with it."""
    noise = random.normal(0, (6, 10, 14)[level], chip.shape)
    return bytes_of(chip * (0.5, 0.3, 0.18)[level] + noise)


def motion_blur(chip: Chip, length: int, random: Generator) -> Chip:
    """Blur along a line of some pixels, as a moved camera does."""
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), random.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(chip, -1, kernel / kernel.sum())


def colour_cast(chip: Chip, span: float, random: Generator) -> Chip:
    """Tint towards red or blue, as lamps, sunsets and aged film do."""
    return bytes_of(chip * (1 + span * np.array([1, 0, -1]) * random.choice([-1, 1])))


def grey(chip: Chip, contrast: float, _: Generator) -> Chip:
    """Take the colour away, and a share of the contrast."""
    light = (chip @ GREY)[..., None].repeat(3, 2)
    return bytes_of(128 + (light - 128) * contrast)


def old_print(chip: Chip, level: int, random: Generator) -> Chip:
    """Tone in sepia, fade, add grain and scratches."""
    faded = 140 + (chip @ SEPIA.T - 128) * (0.8, 0.6, 0.45)[level]
    worn = bytes_of(faded + random.normal(0, (5, 9, 14)[level], (CHIP, CHIP, 1)))
    for _ in range((2, 5, 9)[level]):
        ends = random.integers(0, CHIP, (2, 2))
        cv2.line(worn, ends[0].tolist(), ends[1].tolist(), (225, 215, 195), 1)
    return worn


def jpeg(chip: Chip, quality: int, _: Generator) -> Chip:
    """Compress strongly."""
    _, coded = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def misaligned(chip: Chip, share: float, random: Generator) -> Chip:
    """Move the face by a share of the side, as landmarks found in the wrong place do."""
    way, off = random.uniform(0, 2 * np.pi), share * CHIP
    matrix = np.array([[1, 0, off * np.cos(way)], [0, 1, off * np.sin(way)]])
    return cv2.warpAffine(chip, matrix, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE)


def turned_away(chip: Chip, share: float, random: Generator) -> Chip:
    """Turn the head by some 15, 30 and 45 degrees, as a perspective warp."""
    near = share * CHIP
    corners = np.array([[0, 0], [CHIP, 0], [CHIP, CHIP], [0, CHIP]], np.float32)
    moved = corners + np.array([[near, near / 2], [0, 0], [0, 0], [near, -near / 2]], np.float32)
    if random.random() < 0.5:
        corners, moved = corners * [-1, 1] + [CHIP, 0], moved * [-1, 1] + [CHIP, 0]
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
    return cv2.warpPerspective(chip, matrix, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE)


def sunglasses(chip: Chip, level: int, random: Generator) -> Chip:
    """Put on dark glasses of growing size."""
    worn, shade = chip.copy(), int(random.integers(5, 45))
    wide, high = ((22, 14), (28, 18), (34, 24))[level]
    for eye in EYES:
        cv2.ellipse(worn, eye, (wide, high), 0, 0, 360, (shade, shade, shade), -1, cv2.LINE_AA)
    cv2.line(worn, EYES[0], EYES[1], (shade, shade, shade), 4, cv2.LINE_AA)
    return worn


def mask(chip: Chip, level: int, random: Generator) -> Chip:
    """Put a mask over mouth and nose, higher and higher."""
    worn, top = chip.copy(), (128, 112, 96)[level]
    corners = [(42, top + 8), (97, top - 8), (152, top + 8), (146, 172), (97, 192), (48, 172)]
    colour = [(225, 235, 240), (120, 170, 205), (30, 30, 34)][int(random.integers(3))]
    cv2.fillPoly(worn, [np.array(corners)], colour, cv2.LINE_AA)
    return worn


def hand(chip: Chip, level: int, random: Generator) -> Chip:
    """Put fingers before the face, in its own colour."""
    covered = chip.copy()
    skin = chip[90:120, 60:80].reshape(-1, 3).mean(0) * random.uniform(0.8, 1.1)
    side = random.choice([-1, 1])
    for finger in range((2, 3, 4)[level]):
        start = (int(97 + side * 90), 195 - 16 * finger)
        end = (int(97 + side * (45 - 12 * level)), 150 - 18 * finger)
        cv2.line(covered, start, end, np.clip(skin, 0, 255).tolist(), 15, cv2.LINE_AA)
    return covered


def hair(chip: Chip, level: int, random: Generator) -> Chip:
    """Draw strands of hair over forehead and eyes."""
    covered, shade = chip.copy(), random.integers(15, 110, 3)
    shade.sort()
    for _ in range((25, 50, 90)[level]):
        x = int(random.integers(10, 190))
        end = (x + int(random.normal(0, 25)), int(random.uniform(30, (70, 90, 115)[level])))
        colour = (shade[::-1] * random.uniform(0.7, 1.2)).tolist()
        cv2.line(covered, (x, 0), end, colour, 2, cv2.LINE_AA)
    return covered


def side_light(chip: Chip, least: float, random: Generator) -> Chip:
    """Light hard from one side, and leave a share of the light on the other."""
    edge = 1 / (1 + np.exp(-(np.arange(CHIP) - 100) / 12))
    light = 1.35 * (1 - edge) + least * edge
    return bytes_of(chip * light[:: random.choice([-1, 1])][None, :, None])


def shrink(chip: Chip, side: int) -> Chip:
    """Scale a chip down to a side in pixels, and up again."""
    tiny = cv2.resize(chip, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(tiny, (CHIP, CHIP), interpolation=cv2.INTER_CUBIC)


def bytes_of(values: NDArray[np.floating]) -> Chip:
    """Round to the nearest bytes."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


LEVELS = (0, 1, 2)
KINDS: dict[str, tuple[Callable[[Chip, Any, Generator], Chip], tuple[float, float, float]]] = {
    "small": (lambda chip, side, _: shrink(chip, side), (72, 48, 36)),  # faces of 48, 32, 24 px
    "focus_blur": (lambda chip, sigma, _: cv2.GaussianBlur(chip, (0, 0), sigma), (1.5, 3, 5)),
    "motion_blur": (motion_blur, (7, 13, 21)),
    "low_light": (low_light, LEVELS),
    "overexposed": (lambda chip, light, _: bytes_of(chip * light + 10), (1.3, 1.6, 2.0)),
    "colour_cast": (colour_cast, (0.2, 0.4, 0.6)),
    "sepia": (lambda chip, share, _: bytes_of(chip * (1 - share) + share * (chip @ SEPIA.T)),
              (0.5, 0.8, 1.0)),
    "grey": (grey, (1.0, 0.7, 0.45)),
    "old_print": (old_print, LEVELS),
    "jpeg": (jpeg, (25, 12, 6)),
    "misaligned": (misaligned, (0.04, 0.07, 0.10)),
    "turned_away": (turned_away, (0.10, 0.20, 0.30)),
    "sunglasses": (sunglasses, LEVELS),
    "mask": (mask, LEVELS),
    "hand": (hand, LEVELS),
    "hair": (hair, LEVELS),
    "side_light": (side_light, (0.55, 0.3, 0.12)),
}  # fmt: skip
"""How to degrade a chip, and the three severities: what the function takes."""


def main() -> None:
    """Measure, print and write."""
    parser = record.parser(__doc__, data=True, faces=1000)
    parser.add_argument("models", nargs="+")
    given = parser.parse_args()
    dataset = Dataset(given.data)
    clean = Faces.of(dataset, spaced(dataset.split(0).validation, given.faces))
    models = {name: Model(name) for name in given.models}
    cases = [("clean", 0), *((kind, level) for kind in KINDS for level in LEVELS)]
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in models}
    for kind, level in track(cases, console=console.err):
        degraded = clean.chips if kind == "clean" else degrade(clean.chips, kind, level)
        severity = level + 1 if kind != "clean" else 0
        for name, model in models.items():
            figures = case(run(model, degraded), clean)
            measured[name].append({"kind": kind, "severity": severity, **figures})
    results = {name: {"summary": summary(each), "cases": each} for name, each in measured.items()}
    data = {"fingerprint": dataset.fingerprint, "split": 0, "part": "validation"}
    figures = {"faces": len(clean.ages), "data": data, "models": results}
    record.write(given, figures)
    for name, cases in measured.items():
        show(name, cases)


@dataclass(frozen=True)
class Faces:
    """Chips of a data set with their labels."""

    chips: Chip  # (N, 200, 200, 3)
    ages: NDArray[np.int16]  # (N,), years
    female: NDArray[np.bool_]  # (N,)

    @classmethod
    def of(cls, dataset: Dataset, rows: NDArray[np.int64]) -> Self:
        """Read some rows of a data set."""
        read, samples = chips.reader(dataset), dataset.samples[rows]
        return cls(
            np.stack([read(int(row)) for row in rows]),
            samples["age"].to_numpy(),
            (samples["gender"] == "female").to_numpy(),
        )


def spaced(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Take about `count` rows at equal steps."""
    return rows[:: max(len(rows) // count, 1)][:count]


def degrade(clean: Chip, kind: str, level: int) -> Chip:
    """Degrade every chip; the same chip, kind and level give the same picture."""
    function, severities = KINDS[kind]
    seed = [list(KINDS).index(kind), level]
    return np.stack([
        function(chip, severities[level], np.random.default_rng([*seed, index]))
        for index, chip in enumerate(clean)
    ])  # fmt: skip


def run(model: Model, faces: Chip) -> Output:
    """Run a model on any number of chips, 64 at a time."""
    parts = [model.run(faces[i : i + 64]) for i in range(0, len(faces), 64)]
    names = ("age_probabilities", "age_years", "female_probability")
    return Output(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def case(answers: Output, faces: Faces) -> dict[str, float]:
    """Return the figures of one kind of degradation at one severity."""
    age = distribution.median(answers.age_probabilities)
    young, old = faces.ages < 13, faces.ages > 60
    return {
        "age_mae": metrics.age_mae(age, faces.ages),
        "age_bias": metrics.age_bias(age, faces.ages),
        "age_bias_under_13": metrics.age_bias(age[young], faces.ages[young]),
        "age_bias_over_60": metrics.age_bias(age[old], faces.ages[old]),
        "gender_accuracy": metrics.gender_accuracy(answers.female_probability, faces.female),
    }


def summary(cases: list[dict[str, Any]]) -> dict[str, float]:
    """Return the means over the suite, and how they compare with the clean figures."""
    keys = ("age_mae", "gender_accuracy")
    clean_mae, clean_gender = (cases[0][key] for key in keys)
    mae, gender = (fmean(one[key] for one in cases[1:]) for key in keys)
    return {
        "clean_age_mae": clean_mae, "mean_age_mae": mae, "mean_age_mae_over_clean": mae / clean_mae,
        "clean_gender_accuracy": clean_gender, "mean_gender_accuracy": gender,
        "gender_points_lost": 100 * (clean_gender - gender),
    }  # fmt: skip


def show(name: str, cases: list[dict[str, Any]]) -> None:
    """Print one model's figures, a row for each kind, the mean of its severities."""
    means = summary(cases)
    title = f"{name}: mean MAE {means['mean_age_mae']:.2f} = "
    title += f"{means['mean_age_mae_over_clean']:.2f} x clean, "
    title += f"gender {means['gender_points_lost']:.1f} points below clean"
    columns = {
        "MAE": ("age_mae", ".2f"), "bias": ("age_bias", "+.2f"),
        "under 13": ("age_bias_under_13", "+.2f"), "over 60": ("age_bias_over_60", "+.2f"),
        "gender": ("gender_accuracy", ".1%"),
    }  # fmt: skip
    rows = pl.DataFrame(cases).group_by("kind", maintain_order=True).mean().to_dicts()
    console.table(["kind"], [(row["kind"], row) for row in rows], columns, title=title)


if __name__ == "__main__":
    main()
