import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from agelens.training.batches.augmentation import DEGRADATIONS, Augment
from agelens.training.recipes.config import AugmentConfig

NOTHING = dict.fromkeys(AugmentConfig.model_fields.keys() - {"views"}, 0.0)
CHIP = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8).repeat(10, 0).repeat(10, 1)


def augmented(chip: np.ndarray, size: int, seed: int = 0, **changes: float) -> np.ndarray:
    config = AugmentConfig(**{**NOTHING, **changes})
    return Augment(config)(chip, size, np.random.default_rng(seed))


@pytest.mark.parametrize("size", [64, 100, 160, 200, 224])
def test_without_changes_it_samples_as_the_network_does(size: int) -> None:
    chip = torch.from_numpy(CHIP).permute(2, 0, 1)[None].float()
    expected = functional.interpolate(chip, (size, size), mode="bilinear", align_corners=False)
    made = augmented(CHIP, size).astype(float)
    difference = np.abs(made - expected[0].permute(1, 2, 0).numpy())
    assert difference.mean() < 1  # OpenCV rounds the sampling points to 1/32 pixel
    assert np.percentile(difference, 99) < 10


def test_a_flip_mirrors_and_grey_has_no_colour() -> None:
    plain, mirrored = augmented(CHIP, 100), augmented(CHIP, 100, flip=1.0).astype(int)
    assert np.abs(mirrored[:, ::-1] - plain).mean() < 0.5
    assert np.abs(mirrored - plain).mean() > 20
    assert np.ptp(augmented(CHIP, 64, grey=1.0).astype(int), axis=-1).max() <= 1


def test_grain_is_noise_and_fading_lowers_contrast() -> None:
    flat = np.full((200, 200, 3), 128, np.uint8)
    levels = []
    for seed in range(40):
        grainy = augmented(flat, 200, seed, grain=1.0)
        levels.append(grainy.std())
        assert abs(grainy.mean() - 128) < 1
    assert 3 <= min(levels) + 0.5 < max(levels) <= 15
    steps = np.repeat(np.array([0, 255], np.uint8), 100)[None, :, None].repeat(200, 0).repeat(3, 2)
    for seed in range(40):
        faded = augmented(steps, 200, seed, fade=1.0)
        dark, light = faded[:, :90].mean(), faded[:, 110:].mean()
        assert 20 < light - dark < 255


def test_erasing_covers_between_2_and_15_percent() -> None:
    chip = np.full((200, 200, 3), 90, np.uint8)
    erased = [augmented(chip, 100, seed, erase=1.0) for seed in range(40)]
    shares = [(one != 90).any(-1).mean() for one in erased]
    assert min(s for s in shares if s > 0) > 0.01
    assert max(shares) <= 0.15


@pytest.mark.parametrize("degrade", DEGRADATIONS, ids=lambda kind: kind.__name__.strip("_"))
def test_each_degradation_changes_the_chip_and_keeps_its_form(degrade) -> None:
    made = degrade(CHIP.copy(), np.random.default_rng(3))
    assert (made.shape, made.dtype) == (CHIP.shape, np.uint8)
    assert np.abs(made.astype(int) - CHIP).mean() > 1
    assert abs(int(made.mean()) - int(CHIP.mean())) < 120


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([32, 99, 160]))
def test_the_same_seed_gives_the_same_chip(seed: int, size: int) -> None:
    first, again = (
        Augment(AugmentConfig())(CHIP, size, np.random.default_rng(seed)) for _ in range(2)
    )
    assert (first.shape, first.dtype) == ((size, size, 3), np.uint8)
    assert np.array_equal(first, again)
