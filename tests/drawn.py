"""A drawn dataset folder: brighter is older, red is female, so that a net can learn it."""

from pathlib import Path

import numpy as np

from agelens.data.importer import import_dataset
from photos import encoded


def portrait(age: int, female: bool, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    level = 40 + 170 * age / 116
    noise = random.normal(0, 6, (200, 200, 3))
    tint = np.array([20, 0, -20] if female else [-20, 0, 20])
    picture = np.clip(level + tint + noise, 0, 255).astype(np.uint8)
    picture[50:65, 50:68] = picture[50:65, 130:148] = 20
    return encoded(picture, 90)


def write_dataset(folder: Path, count: int = 360) -> Path:
    """Write `count` drawn faces with UTKFace names and import them; give the dataset folder."""
    source = folder / "pictures"
    source.mkdir(parents=True)
    random = np.random.default_rng(7)
    for seed in range(count):
        age, female = int(random.integers(0, 117)), bool(random.integers(2))
        name = f"{age}_{int(female)}_{seed % 5}_2020010100000{seed:04}.jpg"
        (source / name).write_bytes(portrait(age, female, seed))
    return import_dataset(source, folder / "dataset").dataset.folder
