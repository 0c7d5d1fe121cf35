from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.progress import Progress

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.errors import BadPicture
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


def test_another_size_is_resampled_and_a_damaged_picture_is_named(tmp_path: Path) -> None:
    Image.fromarray(grey(90, 340)).save(tmp_path / "large.png")
    assert np.array_equal(chips.read(tmp_path / "large.png"), grey(90))
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(BadPicture, match=r"bad\.jpg"):
        list(chips.batches([tmp_path / "bad.jpg"], 4))


def test_the_cache_is_made_once_and_again_for_other_data(tmp_path: Path) -> None:
    pictures = {f"{level}.png": grey(level) for level in (10, 20, 30)}
    dataset = Dataset(write_dataset(tmp_path / "data", pictures))
    assert chips.cached(dataset, Progress(disable=True))[:, 0, 0, 0].tolist() == [10, 20, 30]
    stamp = dataset.folder / "chips.npy"
    before = stamp.stat().st_mtime_ns
    chips.cached(dataset, Progress(disable=True))
    assert stamp.stat().st_mtime_ns == before
    (dataset.folder / "chips.json").write_text('{"fingerprint": "of other data"}')
    chips.cached(dataset, Progress(disable=True))
    assert stamp.stat().st_mtime_ns > before
