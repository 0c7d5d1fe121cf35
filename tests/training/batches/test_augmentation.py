import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from agelens.training.batches.augmentation import DEGRADATIONS, Augment
from agelens.training.recipes.config import AugmentConfig

NOTHING = AugmentConfig(**dict.fromkeys(AugmentConfig.model_fields, 0.0))


def noise(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)
    return coarse.repeat(10, 0).repeat(10, 1)


@pytest.mark.parametrize("size", [64, 100, 160, 200, 224])
def test_without_changes_it_samples_as_the_network_does(size: int) -> None:
    chip = noise()
    made = Augment(NOTHING)(chip, size, np.random.default_rng(0))
    there = torch.from_numpy(chip).permute(2, 0, 1)[None].float()
    expected = functional.interpolate(there, (size, size), mode="bilinear", align_corners=False)
    difference = np.abs(made.astype(float) - expected[0].permute(1, 2, 0).numpy())
    assert difference.mean() < 1  # OpenCV rounds the sampling points to 1/32 pixel
    assert np.percentile(difference, 99) < 10


def test_a_flip_mirrors() -> None:
    chip = noise()
    plain = Augment(NOTHING)(chip, 100, np.random.default_rng(0))
    mirrored = Augment(NOTHING.model_copy(update={"flip": 1.0}))(
        chip, 100, np.random.default_rng(0)
    )
    assert np.abs(mirrored[:, ::-1].astype(int) - plain).mean() < 0.5
    assert np.abs(mirrored.astype(int) - plain).mean() > 20


def test_grey_has_no_colour() -> None:
    made = Augment(NOTHING.model_copy(update={"grey": 1.0}))(noise(), 64, np.random.default_rng(0))
    assert np.ptp(made.astype(int), axis=-1).max() <= 1


def test_erasing_covers_between_2_and_15_percent() -> None:
    chip = np.full((200, 200, 3), 90, np.uint8)
    erase = Augment(NOTHING.model_copy(update={"erase": 1.0}))
    shares = [
        (erase(chip, 100, np.random.default_rng(seed)) != 90).any(-1).mean() for seed in range(40)
    ]
    assert min(s for s in shares if s > 0) > 0.01
    assert max(shares) <= 0.15


@pytest.mark.parametrize("degrade", DEGRADATIONS, ids=lambda kind: kind.__name__.strip("_"))
def test_each_degradation_changes_the_chip_and_keeps_its_form(degrade) -> None:
    chip = noise()
    made = degrade(chip.copy(), np.random.default_rng(3))
    assert made.shape == chip.shape
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - chip).mean() > 1
    assert abs(int(made.mean()) - int(chip.mean())) < 120


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([32, 99, 160]))
def test_the_same_seed_gives_the_same_chip(seed: int, size: int) -> None:
    augment = Augment(AugmentConfig())
    first = augment(noise(), size, np.random.default_rng(seed))
    again = augment(noise(), size, np.random.default_rng(seed))
    assert first.shape == (size, size, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
