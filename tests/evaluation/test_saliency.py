from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from agelens.evaluation import saliency
from agelens.evaluation.saliency import GRID, ORDERS, PATCH, STEPS, SaliencyMaps
from agelens.inference.runtime import Model

EYES = (2, 4, 3, 6)  # patches: rows from 2 to 3, columns from 3 to 5


def decides_at(tiny: Path, file: Path, place: tuple[int, int, int, int]) -> Model:
    model = onnx.load(tiny)
    graph = model.graph
    top, bottom, left, right = (PATCH * side for side in place)
    for name, values in {
        "from": [top, left], "to": [bottom, right], "rows and columns": [1, 2], "none": [0.0],
    }.items():  # fmt: skip
        kind = np.float32 if name == "none" else np.int64
        graph.initializer.append(numpy_helper.from_array(np.array(values, kind), name))
    nodes = {node.output[0]: node for node in graph.node}
    nodes["mean"].input[0] = "seen"
    nodes["female_probability"].output[0] = "unused"
    places = ["x", "from", "to", "rows and columns"]
    graph.node.insert(1, helper.make_node("Slice", places, ["seen"]))
    graph.node.append(helper.make_node("Mul", ["unused", "none"], ["female_probability"]))
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
    return Model(file, 1)


def patchwork(count: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    patches = random.integers(60, 200, (count, GRID, GRID, 1), np.uint8)
    patches[:, EYES[0] : EYES[1], EYES[2] : EYES[3]] = 230
    return patches.repeat(PATCH, 1).repeat(PATCH, 2).repeat(3, 3)


@pytest.fixture(scope="module")
def found(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict:
    file = tmp_path_factory.mktemp("looking") / "model.onnx"
    model = decides_at(make_model({"name": "tiny"}), file, EYES)
    steps: list[int] = []
    maps = saliency.occlusion_saliency(model, patchwork(5), steps.append)
    assert sum(steps) == 2 * 5
    return maps


def test_map_shows_the_place_that_decides(found: dict) -> None:
    maps = found["age"].maps
    assert maps.shape == (5, GRID, GRID)
    mean = maps.mean(axis=0)
    inside = np.zeros((GRID, GRID), bool)
    inside[EYES[0] : EYES[1], EYES[2] : EYES[3]] = True
    assert inside.flat[mean.argmax()] and mean[inside].min() > 3 * np.median(mean[~inside])
    # a window of two patches, with a soft edge, reaches no farther than two patches
    assert mean[7:].max() < 0.01 * mean.max()


def test_true_map_passes_the_deletion_test_in_the_right_region(found: dict) -> None:
    about = saliency.measure(found["age"])
    assert about["means_something"] is True and about["most_minus_random"]["low"] > 0
    assert about["random_minus_least"]["low"] > 0
    # all faces have their eyes at one place, so the mean map of the others is almost as good
    assert abs(about["own_minus_others"]["value"]) < 0.1 * about["most_minus_random"]["value"]
    curves = {order: [p["value"] for p in points] for order, points in about["curves"].items()}
    assert list(curves) == list(ORDERS)
    assert all(len(curve) == STEPS + 1 and curve[0] == 0 for curve in curves.values())
    assert len({round(curve[-1], 6) for curve in curves.values()}) == 1  # the same is covered
    # the place itself is six patches of a hundred: the first step covers it
    assert curves["most salient first"][1] > 0.7 * max(curves["most salient first"])
    assert curves["least salient first"][8] < 0.1 * max(curves["least salient first"])
    regions = about["regions"]
    assert sum(region["area"] for region in regions.values()) == pytest.approx(1)
    assert sum(region["share"]["value"] for region in regions.values()) == pytest.approx(1)
    assert regions["eyes"]["area"] == pytest.approx(0.16) and regions["eyes"]["share"]["low"] > 0.5


def test_constant_output_and_random_maps_fail_the_deletion_test(found: dict) -> None:
    about = saliency.measure(found["gender"])  # its answer never moves
    assert found["gender"].maps.max() == 0
    assert about["means_something"] is False
    assert about["most_minus_random"] == {"value": 0, "low": 0, "high": 0}
    assert about["regions"]["eyes"]["share"]["value"] == pytest.approx(0.16)
    random = np.random.default_rng(2)
    curves = np.cumsum(random.random((40, len(ORDERS), STEPS + 1)), axis=2)
    about = saliency.measure(SaliencyMaps(random.random((40, GRID, GRID)), curves))
    assert about["means_something"] is False


def test_output_shift_of_an_age_is_in_years() -> None:
    ages = np.zeros((3, 117))
    ages[0, 30] = ages[1, 37] = 1
    ages[2, [30, 40]] = 0.5
    female = np.array([0.9, 0.4, 1.0])
    assert saliency.output_shift(ages[:1], ages, "age") == pytest.approx([0, 7, 5])
    assert saliency.output_shift(female[:1], female, "gender") == pytest.approx([0, 0.5, 0.1])


def test_regions_divide_the_grid() -> None:
    names, place = saliency.region_of_patches()
    assert set(np.unique(place)) == set(range(len(names)))
    assert [names[place[at]] for at in ((3, 4), (7, 4), (5, 0))] == ["eyes", "mouth", "sides"]


def test_sample_is_spread_over_ages_and_repeatable() -> None:
    ages = np.random.default_rng(3).integers(0, 117, 1000)
    rows = saliency.sample_by_age(ages, 20)
    assert (rows == saliency.sample_by_age(ages, 20)).all()
    assert len(set(rows.tolist())) == 20
    assert np.diff(np.sort(ages[rows])).max() < 15
    assert saliency.sample_by_age(ages[:3], 20).tolist() == [0, 1, 2]


def test_overlay_keeps_salient_patches_bright() -> None:
    chip = np.full((200, 200, 3), 200, np.uint8)
    salience = np.zeros((GRID, GRID))
    salience[2:4, 2:4] = 1
    lit = saliency.overlay(chip, salience)
    assert lit.shape == chip.shape
    assert lit[60, 60].min() > 190 and lit[150, 150].max() < 50
    assert saliency.overlay(chip, np.zeros((GRID, GRID))).max() < 50


def test_single_chip_is_refused(make_model: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="1 chips: expected two or more"):
        saliency.occlusion_saliency(Model(make_model({"name": "tiny"}), 1), patchwork(1))
