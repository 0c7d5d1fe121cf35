"""Map where on a face a model looks, by covering it up; and test whether the map is true.

Occlusion (Zeiler and Fergus, 2014): a blurred window slides over the chip; the saliency of a patch
is how far the prediction moves, as a mean over the windows on it. Deletion test (after Petsiuk, Das
and Saenko, 2018): if the map means something, covering the most salient patches first shifts the
prediction faster than covering them in random order, and least salient first slower.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import bootstrap
from agelens.evaluation.bootstrap import Estimate, Floats, Ints, Mask
from agelens.inference.runtime import CHIP, Model

Chips = NDArray[np.uint8]  # (B, 200, 200, 3) RGB
Target = Literal["age", "gender"]
TARGETS: tuple[Target, ...] = ("age", "gender")

GRID = 10  # patches along a side
PATCH = CHIP // GRID  # pixels along a side
WINDOW = 2  # patches along a side of the sliding window, which moves by one patch at a time
STEPS = 10  # of the deletion test: each covers 10 more of the 100 patches
BLUR = 25.0  # pixels, sigma of the cover
SOFT_EDGE = 4.0  # pixels, sigma of the cover's edge
SEED = 20170116
ORDERS = ("most salient first", "random", "least salient first", "mean map of the others")

REGIONS = {  # top, bottom, left, right in pixels of the chip, by the template; the rest is "sides"
    "forehead and hair": (0, 40, 0, 200),
    "eyes": (40, 80, 20, 180),
    "nose and cheeks": (80, 120, 20, 180),
    "mouth": (120, 160, 40, 160),
    "chin and neck": (160, 200, 0, 200),
}
SIDES = "sides"


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyMaps:
    """The saliency of N faces for one target; age in years, gender in probability."""

    maps: Floats  # (N, GRID, GRID): how far the prediction moves
    curves: Floats  # (N, len(ORDERS), STEPS + 1): how far it has moved


def occlusion_saliency(
    model: Model, chips: Chips, advance: Callable[[int], None] = lambda _: None
) -> dict[Target, SaliencyMaps]:
    """Map N chips, uint8 (N, 200, 200, 3) RGB, and run the deletion test on each.

    A chip costs 1 + 81 + 2 x 4 x 10 predictions; `advance` is called twice for each, after its
    map and after its deletion test. Raises ValueError for fewer than two chips.
    """
    if len(chips) < 2:
        raise ValueError(f"{len(chips)} chips: expected two or more, to compare maps with others")
    plain = [_predict(model, chip[None]) for chip in chips]
    maps = {target: np.empty((len(chips), GRID, GRID)) for target in TARGETS}
    # The patches under each place of the window, bool (81, GRID * GRID).
    side = GRID - WINDOW + 1
    windows = np.zeros((side**2, GRID * GRID), bool)
    for window, (top, left) in zip(windows, np.ndindex(side, side), strict=True):
        window.reshape(GRID, GRID)[top : top + WINDOW, left : left + WINDOW] = True
    for place, chip in enumerate(chips):
        covered = _predict(model, _cover(chip, windows))
        for target in TARGETS:
            shift = output_shift(plain[place][target], covered[target], target)
            maps[target][place] = (shift @ windows / windows.sum(axis=0)).reshape(GRID, GRID)
        advance(1)
    curves = {target: np.zeros((len(chips), len(ORDERS), STEPS + 1)) for target in TARGETS}
    random = np.random.default_rng(SEED)
    for place, chip in enumerate(chips):
        chance = random.permutation(GRID * GRID)
        for target in TARGETS:
            own = np.argsort(-maps[target][place].ravel(), kind="stable")
            mean_of_others = np.delete(maps[target], place, axis=0).mean(axis=0)
            others = np.argsort(-mean_of_others.ravel(), kind="stable")
            ranks = np.argsort([own, chance, own[::-1], others], axis=1)[:, None]  # of ORDERS
            masks = ranks < (np.arange(1, STEPS + 1) * (GRID * GRID // STEPS))[:, None]
            covered = _predict(model, _cover(chip, masks.reshape(-1, GRID * GRID)))
            shift = output_shift(plain[place][target], covered[target], target)
            curves[target][place, :, 1:] = shift.reshape(len(ORDERS), STEPS)
        advance(1)
    return {target: SaliencyMaps(maps[target], curves[target]) for target in TARGETS}


def _predict(model: Model, chips: Chips) -> dict[Target, Floats]:
    output = model.predict(chips)
    return {
        "age": output.age_probabilities.astype(np.float64),
        "gender": output.female_probability.astype(np.float64),
    }


def output_shift(before: Floats, after: Floats, target: Target) -> Floats:
    """Return how far B predictions, (B, 117) or (B,), are from the one before, (B,).

    Age: the Wasserstein distance in years. Gender: the change of its probability.
    """
    if target == "gender":
        return np.abs(after - before)
    gaps = np.cumsum(after, axis=1) - np.cumsum(before, axis=1)
    return np.asarray(np.abs(gaps[:, :-1]).sum(axis=1))


def _cover(chip: NDArray[np.uint8], masks: Mask) -> Chips:
    """Cover some patches of a chip, bool (B, GRID * GRID), in B ways."""
    base = chip.astype(np.float32)
    blurred = cv2.GaussianBlur(base, (0, 0), BLUR, borderType=cv2.BORDER_REFLECT)
    covered = np.empty((len(masks), *chip.shape), np.uint8)
    for place, mask in enumerate(masks):
        hard = np.kron(mask.reshape(GRID, GRID), np.ones((PATCH, PATCH))).astype(np.float32)
        soft = cv2.GaussianBlur(hard, (0, 0), SOFT_EDGE, borderType=cv2.BORDER_REPLICATE)
        covered[place] = np.rint(base + soft[..., None] * (blurred - base)).clip(0, 255)
    return covered


def measure(maps: SaliencyMaps) -> dict[str, Any]:
    """Return the figures of the maps and of the deletion test as JSON values."""
    weights = bootstrap.resample(np.arange(len(maps.maps)))

    def estimate(columns: Floats) -> list[Estimate]:
        return bootstrap.estimate(bootstrap.mean(columns), weights)

    # Each face region's share of all saliency.
    names, place = region_of_patches()
    total = maps.maps.sum(axis=(1, 2), keepdims=True)
    spread = np.full_like(maps.maps, 1 / GRID**2)
    shares = np.divide(maps.maps, total, out=spread, where=total > 0)
    regions = [place == number for number in range(len(names))]
    by_region = estimate(np.column_stack([shares[:, region].sum(axis=1) for region in regions]))
    # The area under a curve over the share of patches covered: the mean shift on the way.
    areas = (maps.curves[:, :, 1:] + maps.curves[:, :, :-1]).mean(axis=2) / 2
    most, random, least, others = areas.T
    estimates = estimate(np.column_stack([areas, most - random, random - least, most - others]))
    most_first, least_last, own = estimates[4:]
    return {
        "faces": len(maps.maps),
        "areas": {order: area.as_dict() for order, area in zip(ORDERS, estimates, strict=False)},
        "most_minus_random": most_first.as_dict(),
        "random_minus_least": least_last.as_dict(),
        "own_minus_others": own.as_dict(),
        "means_something": most_first.low > 0 and least_last.low > 0,
        "own_map_is_better": own.low > 0,
        "curves": {
            order: [point.as_dict() for point in estimate(curve)]
            for order, curve in zip(ORDERS, maps.curves.transpose(1, 0, 2), strict=True)
        },
        "mean_map": maps.maps.mean(axis=0).tolist(),
        "regions": {
            name: {"area": float(region.mean()), "share": share.as_dict()}
            for name, region, share in zip(names, regions, by_region, strict=True)
        },
    }


def region_of_patches() -> tuple[list[str], Ints]:
    """Return the regions' names, and the index among them of each patch, (GRID, GRID)."""
    names = [*REGIONS, SIDES]
    place = np.full((GRID, GRID), len(names) - 1)
    centre = (np.arange(GRID) + 0.5) * PATCH
    for number, (top, bottom, left, right) in enumerate(REGIONS.values()):
        rows, columns = (centre > top) & (centre < bottom), (centre > left) & (centre < right)
        place[np.ix_(rows, columns)] = number
    return names, place


def sample_by_age(ages: Ints, count: int) -> Ints:
    """Choose `count` of N faces evenly over their ages, the same every time; row numbers."""
    mixed = np.random.default_rng(SEED).permutation(len(ages))
    order = mixed[np.argsort(ages[mixed], kind="stable")]
    places = np.linspace(0, len(ages) - 1, min(count, len(ages))).round().astype(np.int64)
    return np.sort(order[places])


def overlay(chip: NDArray[np.uint8], saliency: Floats) -> NDArray[np.uint8]:
    """Lay a map (GRID, GRID) over a chip, uint8 (200, 200, 3): what is salient stays bright.

    The rest is darkened, so that the picture reads the same in colour and in grey.
    """
    top = float(saliency.max())
    level = saliency / top if top > 0 else np.zeros_like(saliency)
    smooth = cv2.resize(level.astype(np.float32), (CHIP, CHIP), interpolation=cv2.INTER_CUBIC)
    light = 0.18 + 0.82 * np.clip(smooth, 0, 1)[..., None]
    return np.rint(chip * light).clip(0, 255).astype(np.uint8)
