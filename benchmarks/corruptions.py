"""How well does a model stand what people's photos are like? Degraded validation chips.

    python benchmarks/corruptions.py MODEL... --data DATASET [--faces 1000]

Each of the kinds below is applied at three severities to the same validation faces of split 0;
age MAE, age bias (also of children and of people over 60) and gender accuracy are printed and
written to results/corruptions.json. Test folds are not touched, and the labels stay as they are.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table

from agelens import provenance
from agelens.cli import console
from agelens.data.dataset import Dataset
from agelens.evaluation import metrics
from agelens.images import decode
from agelens.inference import distribution
from agelens.inference.runtime import CHIP, Model, Output

RESULT = Path(__file__).parent / "results" / "corruptions.json"
Chip = NDArray[np.uint8]
EYES = ((59, 58), (138, 60))  # of the UTKFace template
GREY = np.array([0.299, 0.587, 0.114], np.float32)
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)


def small(chip: Chip, level: int, _: Generator) -> Chip:
    """Faces of 48, 32 and 24 px, scaled up."""
    side = (72, 48, 36)[level]  # the face takes two thirds of the chip
    tiny = cv2.resize(chip, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(tiny, (CHIP, CHIP), interpolation=cv2.INTER_CUBIC)


def focus_blur(chip: Chip, level: int, _: Generator) -> Chip:
    """Out of focus."""
    return cv2.GaussianBlur(chip, (0, 0), (1.5, 3, 5)[level])


def motion_blur(chip: Chip, level: int, random: Generator) -> Chip:
    """A moved camera."""
    length = (7, 13, 21)[level]
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), random.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(chip, -1, kernel / kernel.sum())


def low_light(chip: Chip, level: int, random: Generator) -> Chip:
    """Little light, and the noise that comes with it."""
    light = chip * (0.5, 0.3, 0.18)[level]
    noise = random.normal(0, (6, 10, 14)[level], chip.shape)
    return bytes_of(light + noise)


def overexposed(chip: Chip, level: int, _: Generator) -> Chip:
    """Too much light."""
    return bytes_of(chip * (1.3, 1.6, 2.0)[level] + 10)


def colour_cast(chip: Chip, level: int, random: Generator) -> Chip:
    """Lamps, sunsets and aged film."""
    span = (0.2, 0.4, 0.6)[level]
    return bytes_of(chip * (1 + span * np.array([1, 0, -1]) * random.choice([-1, 1])))


def sepia(chip: Chip, level: int, _: Generator) -> Chip:
    """A toned print."""
    share = (0.5, 0.8, 1.0)[level]
    return bytes_of((1 - share) * chip + share * (chip @ SEPIA.T))


def grey(chip: Chip, level: int, _: Generator) -> Chip:
    """No colour, and fading contrast."""
    light = (chip @ GREY)[..., None].repeat(3, 2)
    return bytes_of(128 + (light - 128) * (1.0, 0.7, 0.45)[level])


def old_print(chip: Chip, level: int, random: Generator) -> Chip:
    """Sepia, faded, grainy and scratched."""
    faded = 140 + (chip @ SEPIA.T - 128) * (0.8, 0.6, 0.45)[level]
    worn = bytes_of(faded + random.normal(0, (5, 9, 14)[level], (CHIP, CHIP, 1)))
    for _ in range((2, 5, 9)[level]):
        ends = random.integers(0, CHIP, (2, 2))
        cv2.line(worn, ends[0].tolist(), ends[1].tolist(), (225, 215, 195), 1)
    return worn


def jpeg(chip: Chip, level: int, _: Generator) -> Chip:
    """Strong compression."""
    _, coded = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, (25, 12, 6)[level]])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def misaligned(chip: Chip, level: int, random: Generator) -> Chip:
    """Points found 4, 7 and 10 % of the side away from where they are."""
    way = random.uniform(0, 2 * np.pi)
    off = (0.04, 0.07, 0.10)[level] * CHIP
    matrix = np.array([[1, 0, off * np.cos(way)], [0, 1, off * np.sin(way)]])
    return cv2.warpAffine(chip, matrix, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE)


def turned_away(chip: Chip, level: int, random: Generator) -> Chip:
    """A head turned by some 15, 30 and 45 degrees, as a perspective warp."""
    near = (0.10, 0.20, 0.30)[level] * CHIP
    corners = np.array([[0, 0], [CHIP, 0], [CHIP, CHIP], [0, CHIP]], np.float32)
    moved = corners + np.array([[near, near / 2], [0, 0], [0, 0], [near, -near / 2]], np.float32)
    if random.random() < 0.5:
        corners, moved = corners * [-1, 1] + [CHIP, 0], moved * [-1, 1] + [CHIP, 0]
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
    return cv2.warpPerspective(chip, matrix, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE)


def sunglasses(chip: Chip, level: int, random: Generator) -> Chip:
    """Dark glasses of growing size."""
    worn, shade = chip.copy(), int(random.integers(5, 45))
    wide, high = ((22, 14), (28, 18), (34, 24))[level]
    for eye in EYES:
        cv2.ellipse(worn, eye, (wide, high), 0, 0, 360, (shade, shade, shade), -1, cv2.LINE_AA)
    cv2.line(worn, EYES[0], EYES[1], (shade, shade, shade), 4, cv2.LINE_AA)
    return worn


def mask(chip: Chip, level: int, random: Generator) -> Chip:
    """A mask over mouth and nose, worn higher and higher."""
    worn, top = chip.copy(), (128, 112, 96)[level]
    corners = [(42, top + 8), (97, top - 8), (152, top + 8), (146, 172), (97, 192), (48, 172)]
    colour = [(225, 235, 240), (120, 170, 205), (30, 30, 34)][int(random.integers(3))]
    cv2.fillPoly(worn, [np.array(corners)], colour, cv2.LINE_AA)
    return worn


def hand(chip: Chip, level: int, random: Generator) -> Chip:
    """A hand before the face: fingers in the face's own colour."""
    covered = chip.copy()
    skin = chip[90:120, 60:80].reshape(-1, 3).mean(0) * random.uniform(0.8, 1.1)
    side = random.choice([-1, 1])
    for finger in range((2, 3, 4)[level]):
        start = (int(97 + side * 90), 195 - 16 * finger)
        end = (int(97 + side * (45 - 12 * level)), 150 - 18 * finger)
        cv2.line(covered, start, end, np.clip(skin, 0, 255).tolist(), 15, cv2.LINE_AA)
    return covered


def hair(chip: Chip, level: int, random: Generator) -> Chip:
    """Strands of hair over forehead and eyes."""
    covered, shade = chip.copy(), random.integers(15, 110, 3)
    shade.sort()
    for _ in range((25, 50, 90)[level]):
        x = int(random.integers(10, 190))
        end = (x + int(random.normal(0, 25)), int(random.uniform(30, (70, 90, 115)[level])))
        colour = (shade[::-1] * random.uniform(0.7, 1.2)).tolist()
        cv2.line(covered, (x, 0), end, colour, 2, cv2.LINE_AA)
    return covered


def side_light(chip: Chip, level: int, random: Generator) -> Chip:
    """Hard light from one side."""
    ramp = np.linspace(1.35, (0.55, 0.3, 0.12)[level], CHIP)
    edge = 1 / (1 + np.exp(-(np.arange(CHIP) - 100) / 12))
    light = ramp[0] * (1 - edge) + ramp[-1] * edge
    return bytes_of(chip * light[:: random.choice([-1, 1])][None, :, None])


def bytes_of(values: NDArray[np.floating]) -> Chip:
    """Give the nearest bytes."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


KINDS: tuple[Callable[[Chip, int, Generator], Chip], ...] = (
    small, focus_blur, motion_blur, low_light, overexposed, colour_cast, sepia, grey, old_print,
    jpeg, misaligned, turned_away, sunglasses, mask, hand, hair, side_light,
)  # fmt: skip


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=1000)
    given = parser.parse_args()
    dataset = Dataset(given.data)
    rows = dataset.split(0).validation
    rows = rows[:: max(len(rows) // given.faces, 1)][: given.faces]
    samples = dataset.samples[rows]
    ages = samples["age"].to_numpy()
    female = (samples["gender"] == "female").to_numpy()
    clean = np.stack([decode.read(dataset.image_path(int(row))) for row in rows])
    models = {name: Model(name) for name in given.models}
    cases = [("clean", 0), *((kind.__name__, level) for kind in KINDS for level in range(3))]
    measured: dict[str, list[dict]] = {name: [] for name in models}
    for kind, level in track(cases, console=console.err):
        chips = clean if kind == "clean" else degrade(clean, kind, level)
        for name, model in models.items():
            said = ask(model, chips)
            age = distribution.median(said.age_probabilities)
            measured[name].append(
                {
                    "kind": kind,
                    "severity": level + 1 if kind != "clean" else 0,
                    "age_mae": metrics.age_mae(age, ages),
                    "age_bias": metrics.age_bias(age, ages),
                    "age_bias_under_13": metrics.age_bias(age[ages < 13], ages[ages < 13]),
                    "age_bias_over_60": metrics.age_bias(age[ages > 60], ages[ages > 60]),
                    "gender_accuracy": metrics.gender_accuracy(said.female_probability, female),
                }
            )
    write(measured, len(rows), dataset.fingerprint)
    for name, figures in measured.items():
        console.out.print(table(name, figures))


def degrade(clean: Chip, kind: str, level: int) -> Chip:
    """Degrade every chip; the same chip, kind and level give the same picture."""
    function = next(f for f in KINDS if f.__name__ == kind)
    place = [f.__name__ for f in KINDS].index(kind)
    return np.stack(
        [
            function(chip, level, np.random.default_rng([place, level, index]))
            for index, chip in enumerate(clean)
        ]
    )


def ask(model: Model, chips: Chip) -> Output:
    """Ask a model about any number of chips, 64 at a time."""
    parts = [model.run(chips[i : i + 64]) for i in range(0, len(chips), 64)]
    return Output(
        np.concatenate([part.age_probabilities for part in parts]),
        np.concatenate([part.age_years for part in parts]),
        np.concatenate([part.female_probability for part in parts]),
    )


def summary(figures: list[dict]) -> dict[str, float]:
    """Give the means over the suite, and how they stand to the clean figures."""
    clean, rest = figures[0], figures[1:]
    mae = float(np.mean([f["age_mae"] for f in rest]))
    gender = float(np.mean([f["gender_accuracy"] for f in rest]))
    return {
        "clean_age_mae": clean["age_mae"],
        "mean_age_mae": mae,
        "mean_age_mae_over_clean": mae / clean["age_mae"],
        "clean_gender_accuracy": clean["gender_accuracy"],
        "mean_gender_accuracy": gender,
        "gender_points_lost": 100 * (clean["gender_accuracy"] - gender),
    }


def write(measured: dict[str, list[dict]], faces: int, fingerprint: str) -> None:
    """Write the result file."""
    result = {
        "command": "python benchmarks/corruptions.py " + " ".join(sys.argv[1:]),
        "date": provenance.now(),
        "faces": faces,
        "data": {"fingerprint": fingerprint, "split": 0, "part": "validation"},
        "versions": provenance.versions(),
        "models": {
            name: {"summary": summary(figures), "cases": figures}
            for name, figures in measured.items()
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def table(name: str, figures: list[dict]) -> Table:
    """Give one model's figures, a row for each kind, the mean of its severities."""
    said = summary(figures)
    shown = Table(
        title=f"{name}: mean MAE {said['mean_age_mae']:.2f} = "
        f"{said['mean_age_mae_over_clean']:.2f} x clean, "
        f"gender {said['gender_points_lost']:.1f} points below clean"
    )
    for heading in ("kind", "MAE", "bias", "under 13", "over 60", "gender"):
        shown.add_column(heading, justify="left" if heading == "kind" else "right")
    for kind in dict.fromkeys(f["kind"] for f in figures):
        own = [f for f in figures if f["kind"] == kind]
        mean = {key: float(np.mean([f[key] for f in own])) for key in own[0] if key != "kind"}
        shown.add_row(
            kind,
            f"{mean['age_mae']:.2f}",
            f"{mean['age_bias']:+.2f}",
            f"{mean['age_bias_under_13']:+.2f}",
            f"{mean['age_bias_over_60']:+.2f}",
            f"{mean['gender_accuracy']:.1%}",
        )
    return shown


if __name__ == "__main__":
    main()
