from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.progress import Progress

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.errors import BadPicture
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.loader import Loader
from agelens.training.recipes.config import AugmentConfig
from labelled import write_dataset


def grey(level: int, side: int = 200) -> np.ndarray:
    return np.full((side, side, 3), level, np.uint8)


def test_batches_keep_the_order(tmp_path: Path) -> None:
    paths = []
    for number in range(11):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(grey(number * 20)).save(paths[-1])
    found = list(chips.batches(paths, 4, 2))
    assert [batch.shape for batch in found] == [(4, 200, 200, 3)] * 2 + [(3, 200, 200, 3)]
    assert np.concatenate(found)[:, 0, 0, 0].tolist() == [number * 20 for number in range(11)]
    assert list(chips.batches([], 4)) == []


def test_another_size_is_resampled(tmp_path: Path) -> None:
    Image.fromarray(grey(90, 340)).save(tmp_path / "large.png")
    chip = chips.read(tmp_path / "large.png")
    assert chip.shape == (200, 200, 3)
    assert (chip == 90).all()


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(BadPicture, match=r"bad\.jpg"):
        list(chips.batches([tmp_path / "bad.jpg"], 4))


def test_the_cache_is_made_once_and_again_for_other_data(tmp_path: Path) -> None:
    pictures = {f"{level}.png": grey(level) for level in (10, 20, 30)}
    dataset = Dataset(write_dataset(tmp_path / "data", pictures))
    with Progress(disable=True) as progress:
        made = chips.cached(dataset, progress)
        assert made[:, 0, 0, 0].tolist() == [10, 20, 30]
        stamp = dataset.folder / "chips.npy"
        before = stamp.stat().st_mtime_ns
        chips.cached(dataset, progress)
        assert stamp.stat().st_mtime_ns == before
        (dataset.folder / "chips.json").write_text('{"fingerprint": "of other data"}')
        chips.cached(dataset, progress)
        assert stamp.stat().st_mtime_ns > before


def test_a_loader_gives_each_face_once_and_the_same_order_for_a_seed() -> None:
    levels = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 200, 200, 3), np.uint8
    )
    rows = np.array([1, 3, 4, 7, 9])
    loader = Loader(levels, rows, rows * 10, rows % 2, 2)
    assert [batch.ages.tolist() for batch in loader.in_order()] == [[10, 30], [40, 70], [90]]
    augment = Augment(AugmentConfig(brightness=0, contrast=0, saturation=0, erase=0, degrade=0))

    def ages(seed: int, epoch: int) -> list[int]:
        batches = list(loader.shuffled(augment, 32, seed, epoch))
        for batch in batches:
            assert len(batch.ages) > 1  # batch statistics need two
            assert np.abs(batch.chips.mean((1, 2, 3)) * 10 - batch.ages).max() < 10
        return [age for batch in batches for age in batch.ages.tolist()]

    assert sorted(ages(0, 0)) == [10, 30, 40, 70, 90]
    assert ages(0, 0) == ages(0, 0)
    assert len({tuple(ages(seed, epoch)) for seed in range(3) for epoch in range(3)}) > 3
