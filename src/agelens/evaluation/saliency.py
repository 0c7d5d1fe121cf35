"""Where on a face a model looks, by covering it up; and a test whether that is so.

Occlusion (Zeiler and Fergus, 2014): a window slides over the chip and covers what is under it; how
far the answer moves, as a mean over the windows on it, is a patch's salience. It works on any model
file. What covers is the same place of the chip under a strong blur, with soft edges, so that no new
shape appears.

Deletion test (after Petsiuk, Das and Saenko, 2018): patches are covered one after another and the
shift of the answer is followed. If the map means something, covering the most salient first
shifts it faster than covering them in random order, and least salient first slower. The order of
the mean map of the other faces tells whether the map is of this face or of faces in general.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import bootstrap
from agelens.inference import distribution
from agelens.inference.runtime import CHIP, Model

Chips = NDArray[np.uint8]  # (B, 200, 200, 3) RGB
Target = Literal["age", "gender"]
TARGETS: tuple[Target, ...] = ("age", "gender")

GRID = 10
"""Patches along a side."""
PATCH = CHIP // GRID
WINDOW = 2
"""Patches along a side of the window that slides, by one patch at a time."""
STEPS = 10
"""Steps of the deletion test: each covers 10 more of the 100 patches."""
BLUR = 25.0  # pixels, sigma of what covers
SOFT = 4.0  # pixels, sigma of a cover's edge
SEED = 20170116
ORDERS = ("most salient first", "random", "least salient first", "mean map of the others")

REGIONS = {
    "forehead and hair": (0, 40, 0, 200),
    "eyes": (40, 80, 20, 180),
    "nose and cheeks": (80, 120, 20, 180),
    "mouth": (120, 160, 40, 160),
    "chin and neck": (160, 200, 0, 200),
}
"""Top, bottom, left, right in pixels of the chip, by the template; the rest is "sides"."""
SIDES = "sides"


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """The saliency of N faces for one target; age in years, gender in probability."""

    maps: NDArray[np.float64]  # (N, GRID, GRID): how far the answer moves
    curves: NDArray[np.float64]  # (N, len(ORDERS), STEPS + 1): how far it has moved


Report = Callable[[int], None]
"""Is told that a half of a face is done: its map, or its deletion test."""


def look(model: Model, chips: Chips, report: Report = lambda _: None) -> dict[Target, Maps]:
    """Map N chips, uint8 (N, 200, 200, 3) RGB, and run the deletion test on each.

    A chip costs 1 + 81 + 2 x 4 x 10 looks of the model; `report` is called twice for each.
    Raises ValueError for fewer than two chips.
    """
    if len(chips) < 2:
        raise ValueError(f"{len(chips)} chips: expected two or more, to compare maps with others")
    plain = [_answer(model, chip[None]) for chip in chips]
    maps = {target: np.empty((len(chips), GRID, GRID)) for target in TARGETS}
    windows = _windows()
    on_each = windows.sum(axis=0)
    for place, chip in enumerate(chips):
        covered = _answer(model, _cover(chip, windows))
        for target in TARGETS:
            moved = shift(plain[place], covered, target)
            maps[target][place] = (moved @ windows / on_each).reshape(GRID, GRID)
        report(1)
    found: dict[Target, Maps] = {}
    curves = {target: np.zeros((len(chips), len(ORDERS), STEPS + 1)) for target in TARGETS}
    random = np.random.default_rng(SEED)
    for place, chip in enumerate(chips):
        chance = random.permutation(GRID * GRID)
        for target in TARGETS:
            orders = _orders(maps[target], place, chance)
            masks = np.concatenate([_steps(order) for order in orders])
            moved = shift(plain[place], _answer(model, _cover(chip, masks)), target)
            curves[target][place, :, 1:] = moved.reshape(len(ORDERS), STEPS)
        report(1)
    for target in TARGETS:
        found[target] = Maps(maps[target], curves[target])
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    age: NDArray[np.float64]  # (B, 117)
    female: NDArray[np.float64]  # (B,)


def _answer(model: Model, chips: Chips) -> _Answer:
    outputs = [model.run(chips[start : start + 32]) for start in range(0, len(chips), 32)]
    return _Answer(
        np.concatenate([one.age_probabilities for one in outputs]).astype(np.float64),
        np.concatenate([one.female_probability for one in outputs]).astype(np.float64),
    )


def shift(before: _Answer, after: _Answer, target: Target) -> NDArray[np.float64]:
    """Give how far B answers stand from the one before, (B,).

    Age: the Wasserstein distance of the distributions, in years. Gender: how much of the
    probability of the gender first said is lost or won.
    """
    if target == "gender":
        moved: NDArray[np.float64] = np.abs(after.female - before.female[0])
        return moved
    gaps = np.cumsum(after.age, axis=1) - np.cumsum(before.age, axis=1)
    years: NDArray[np.float64] = np.abs(gaps[:, : distribution.AGES - 1]).sum(axis=1)
    return years


def _windows() -> NDArray[np.bool_]:
    """Give what each place of the window covers, bool (81, GRID * GRID)."""
    places = range(GRID - WINDOW + 1)
    masks = np.zeros((len(places) ** 2, GRID, GRID), bool)
    for number, (top, left) in enumerate((top, left) for top in places for left in places):
        masks[number, top : top + WINDOW, left : left + WINDOW] = True
    return masks.reshape(len(masks), GRID * GRID)


def _orders(
    maps: NDArray[np.float64], place: int, chance: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Give the ORDERS of the patches of one face."""
    own = np.argsort(-maps[place].ravel(), kind="stable")
    others = np.delete(maps, place, axis=0).mean(axis=0)
    return [own, chance, own[::-1], np.argsort(-others.ravel(), kind="stable")]


def _steps(order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Give what is covered after each step, bool (STEPS, GRID * GRID)."""
    each = len(order) // STEPS
    masks = np.zeros((STEPS, len(order)), bool)
    for step in range(STEPS):
        masks[step, order[: (step + 1) * each]] = True
    return masks


def _cover(chip: NDArray[np.uint8], masks: NDArray[np.bool_]) -> Chips:
    """Cover some patches of a chip, bool (B, GRID * GRID), in B ways."""
    base = chip.astype(np.float32)
    blurred = cv2.GaussianBlur(base, (0, 0), BLUR, borderType=cv2.BORDER_REFLECT)
    covered = np.empty((len(masks), *chip.shape), np.uint8)
    for place, mask in enumerate(masks):
        whole = np.kron(mask.reshape(GRID, GRID), np.ones((PATCH, PATCH), np.float32))
        soft = cv2.GaussianBlur(
            whole.astype(np.float32), (0, 0), SOFT, borderType=cv2.BORDER_REPLICATE
        )[..., None]
        covered[place] = np.rint(base + soft * (blurred - base)).clip(0, 255)
    return covered


def measure(found: dict[Target, Maps]) -> dict[str, Any]:
    """Give what the maps and the deletion test say as JSON values."""
    return {target: _measure(maps) for target, maps in found.items()}


def _measure(maps: Maps) -> dict[str, Any]:
    weights = bootstrap.resample(np.arange(len(maps.maps)))
    # The area under a curve over the share of patches covered: the mean shift on the way.
    areas = (maps.curves[:, :, 1:] + maps.curves[:, :, :-1]).mean(axis=2) / 2
    columns = [*areas.T, areas[:, 0] - areas[:, 1], areas[:, 1] - areas[:, 2],
               areas[:, 0] - areas[:, 3]]  # fmt: skip
    figures = bootstrap.estimate(bootstrap.mean(np.column_stack(columns)), weights)
    tables = [figure.table() for figure in figures]
    most_first, least_last, own = figures[4:]
    return {
        "faces": len(maps.maps),
        "areas": dict(zip(ORDERS, tables[:4], strict=True)),
        "most_minus_random": tables[4],
        "random_minus_least": tables[5],
        "own_minus_others": tables[6],
        "means_something": most_first.low > 0 and least_last.low > 0,
        "own_map_is_better": own.low > 0,
        "curves": {
            order: [f.table() for f in bootstrap.estimate(bootstrap.mean(curve), weights)]
            for order, curve in zip(ORDERS, maps.curves.transpose(1, 0, 2), strict=True)
        },
        "mean_map": maps.maps.mean(axis=0).tolist(),
        "regions": _regions(maps.maps, weights),
    }


def _regions(maps: NDArray[np.float64], weights: bootstrap.Weights) -> dict[str, Any]:
    """Give the share of all salience in each region of the face, and the region's share of area."""
    names, place = region_of_patches()
    total = maps.sum(axis=(1, 2), keepdims=True)
    shares = np.divide(maps, total, out=np.full_like(maps, 1 / GRID**2), where=total > 0)
    columns = np.column_stack([shares[:, place == k].sum(axis=1) for k in range(len(names))])
    figures = bootstrap.estimate(bootstrap.mean(columns), weights)
    return {
        name: {"area": float((place == k).mean()), "share": figures[k].table()}
        for k, name in enumerate(names)
    }


def region_of_patches() -> tuple[list[str], NDArray[np.int64]]:
    """Give the regions' names, and the place among them of each patch, (GRID, GRID)."""
    names = [*REGIONS, SIDES]
    place = np.full((GRID, GRID), len(names) - 1)
    centre = (np.arange(GRID) + 0.5) * PATCH
    for number, (top, bottom, left, right) in enumerate(REGIONS.values()):
        rows, columns = (centre > top) & (centre < bottom), (centre > left) & (centre < right)
        place[np.ix_(rows, columns)] = number
    return names, place


def sample(ages: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Choose `count` of N faces evenly over their ages, the same every time; row numbers."""
    mixed = np.random.default_rng(SEED).permutation(len(ages))
    order = mixed[np.argsort(ages[mixed], kind="stable")]
    places = np.linspace(0, len(ages) - 1, min(count, len(ages))).round().astype(np.int64)
    return np.sort(order[places])


def overlay(chip: NDArray[np.uint8], salience: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Lay a map (GRID, GRID) over a chip, uint8 (200, 200, 3): what is salient stays lit.

    The rest is darkened, so that the picture reads the same in colour and in grey.
    """
    top = float(salience.max())
    level = salience / top if top > 0 else np.zeros_like(salience)
    smooth = cv2.resize(level.astype(np.float32), (CHIP, CHIP), interpolation=cv2.INTER_CUBIC)
    light = 0.18 + 0.82 * np.clip(smooth, 0, 1)[..., None]
    return np.rint(chip * light).clip(0, 255).astype(np.uint8)
