"""What does fusing several views of a face bring, compared with one view or with their product?

    python benchmarks/track_fusion.py DATASET --faces 200

Each test face is shown eight times: moved, turned, sheared, lit, blurred and compressed anew. Such
views are less independent than those of a clip, where people turn and speak. Writes
results/track_fusion.json: error, and coverage and width of the intervals.
"""

from pathlib import Path

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

import record
from agelens.evaluation import metrics
from agelens.images.decode import read
from agelens.inference.distribution import median
from agelens.predictor import load
from agelens.video.fusion import FLOOR, OpinionPool
from corruptions import jpeg

VIEWS = 8
TEST_FOLDS = [8, 9]


def seen_again(chip: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Look at a chip, uint8 (200, 200, 3), once more."""
    side = chip.shape[0]
    turn = cv2.getRotationMatrix2D(
        (side / 2, side / 2), random.normal(0, 4), np.exp(random.normal(0, 0.04))
    )
    turn[:, 2] += random.normal(0, 0.015 * side, 2)
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    moved = corners + random.normal(0, 0.02 * side, (4, 2)).astype(np.float32)
    sheared = cv2.getPerspectiveTransform(corners, moved)
    seen = cv2.warpAffine(chip, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.warpPerspective(seen, sheared, (side, side), borderMode=cv2.BORDER_REPLICATE)
    light = 255 * (seen / 255) ** np.exp(random.normal(0, 0.2)) * np.exp(random.normal(0, 0.1))
    blur = abs(random.normal(0, 1.2))
    if blur > 0.3:
        light = cv2.GaussianBlur(light, (0, 0), blur)
    noisy = np.clip(light + random.normal(0, 5, light.shape), 0, 255).astype(np.uint8)
    return jpeg(noisy, int(random.integers(30, 90)), random)


def main() -> None:
    """Measure and print one line for each way to answer."""
    parser = record.parser(__doc__, faces=200)
    parser.add_argument("dataset", type=Path)
    given = parser.parse_args()
    table = pl.read_parquet(given.dataset / "samples.parquet")
    table = table.filter(pl.col("fold").is_in(TEST_FOLDS)).sort("file").sample(given.faces, seed=1)
    predictor = load(threads=1, flip=False)
    levels = predictor.model.interval_levels()
    random = np.random.default_rng(0)
    truth, singles, joined, products, worths = [], [], [], [], []
    for file, age in zip(table["file"], table["age"], strict=True):
        chip = cv2.resize(read(given.dataset / "images" / file), (200, 200))
        views = [seen_again(chip, random) for _ in range(VIEWS)]
        people = [one for (one,) in predictor.predict(views, chips=True)]
        pool = OpinionPool()
        for one in people:
            weight = max(0.05, 1 - one.error_probability)
            pool.add(one.age_probabilities, one.age, one.female_probability, weight)
        truth.append(age)
        singles.append([one.age_probabilities for one in people])
        fused = pool.fused()
        joined.append(fused.age_probabilities)
        worths.append(fused.effective_views)
        log = np.log(np.maximum(singles[-1], FLOOR)).sum(axis=0)
        products.append(np.exp(log - log.max()))
    each = np.repeat(truth, VIEWS)
    ways = {}
    for name, ages, p in (
        ("one view", each, np.concatenate(singles)),
        ("joined", np.array(truth), np.array(joined)),
        ("product of all views", np.array(truth), np.array(products)),
    ):
        points, (low, high) = median(p), levels.ends(p)
        low, high = np.minimum(low, points), np.maximum(high, points)
        ways[name] = {
            "age_mae": round(metrics.age_mae(points, ages), 3),
            "interval_coverage": round(metrics.interval_coverage(low, high, ages), 4),
            "interval_width": round(float((high - low).mean()), 2),
        }
    figures = {
        "model": predictor.model.card["name"], "part": "test folds of split 0",
        "faces": given.faces, "views": VIEWS,
        "mean_worth": round(float(np.mean(worths)), 3), "ways": ways,
    }  # fmt: skip
    record.show(record.write(given, figures, threads=1))


if __name__ == "__main__":
    main()
