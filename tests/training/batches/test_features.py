from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError, TrainingError
from agelens.training.batches import features
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.features import FeatureExtractor
from agelens.training.batches.loader import make_loaders
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config
from drawn import write_dataset
from runs import QUIET


class Halves(nn.Module):
    num_features = 2
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        type(self).calls += 1
        half = x.shape[-1] // 2
        sides = x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3))
        return torch.stack(sides, 1)[:, :, None, None]


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch) -> Dataset:
    monkeypatch.setattr(FeatureExtractor, "faster_precision", lambda extractor: "float32")
    monkeypatch.setattr(features, "BATCH", 8)
    monkeypatch.setattr(features, "_CHECKPOINT_EVERY", 1)
    return Dataset(write_dataset(tmp_path, 40))


@pytest.fixture
def dataset(drawn: Dataset, monkeypatch) -> Dataset:
    monkeypatch.setattr(features.backbones, "build", lambda config: Halves())
    monkeypatch.setattr(Halves, "calls", 0)
    return drawn


def by_dlib(dataset: Dataset) -> np.ndarray:
    return features.backbone_features(dataset, "dlib", QUIET)


def test_features_are_of_chips_in_order_and_mirrored(dataset: Dataset) -> None:
    made = by_dlib(dataset)
    assert (made.shape, made.dtype) == ((40, 2, 2), np.float16)
    assert made[:, 0] == pytest.approx(made[:, 1, ::-1], rel=1e-2)
    brightness = [chips.read(dataset.image_path(row)).mean() for row in range(40)]
    assert made[:, 0].mean(axis=1) == pytest.approx(brightness, rel=1e-2)


def test_features_are_computed_once_and_anew_for_other_pictures(dataset: Dataset) -> None:
    with ThreadPoolExecutor(2) as both:  # at once
        first, again = both.map(by_dlib, [dataset, dataset])
    assert np.array_equal(first, again)
    assert np.array_equal(by_dlib(dataset), first)
    assert Halves.calls == 2 * 5  # batches of chips and of mirror images
    stamp = dataset.folder / "features-dlib.json"
    stamp.write_text(stamp.read_text().replace('"pictures": "', '"pictures": "0'))
    by_dlib(dataset)
    assert Halves.calls == 2 * 10


def test_a_stopped_computation_resumes_to_the_same_features(dataset: Dataset, monkeypatch) -> None:
    whole = np.array(by_dlib(dataset))
    (dataset.folder / "features-dlib.json").unlink()
    (dataset.folder / "features-dlib.npy").unlink()
    run, Halves.calls = FeatureExtractor.run, 0

    def stop(*arguments):
        if Halves.calls == 7:  # in the middle of the mirror images
            raise KeyboardInterrupt
        return run(*arguments)

    monkeypatch.setattr(FeatureExtractor, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        by_dlib(dataset)
    assert not (dataset.folder / "features-dlib.npy").exists()
    monkeypatch.setattr(FeatureExtractor, "run", run)
    assert np.array_equal(by_dlib(dataset), whole)
    assert Halves.calls == 10  # five batches of chips, five of mirror images: none twice
    assert not list(dataset.folder.glob("*.part*"))


def test_views_are_changed_chips_that_training_draws_from(drawn: Dataset) -> None:
    config = Config.read("concat", {
        "model.members": [{"backbone": "scratch", "size": 32}], "augment.views": 3,
        "augment.brightness": 0.5, "data.teacher": None, "loss.teacher": 0.0, "model.frozen": 1,
    })  # fmt: skip
    assert not config.augment.mirrors_alone
    network = Network(config.model)
    made = features.network_features(drawn, network, QUIET, config.augment)
    assert made.shape == (40, 5, network.num_features)
    assert np.array_equal(made, features.network_features(drawn, network, QUIET, config.augment))
    assert np.abs(np.diff(made[:, 2:].astype(float), axis=1)).max(axis=(1, 2)).min() > 0
    loader = make_loaders(config, drawn, QUIET)[0].with_features(made)
    batches = [batch for epoch in range(20)
               for batch in loader.shuffled(Augment(config.augment), 200, 0, epoch)]  # fmt: skip
    faces = (face for batch in batches for face in zip(batch.rows, batch.chips, strict=True))
    drawn = {int(np.abs(made[row] - one).sum(axis=1).argmin()) for row, one in faces}
    assert drawn == {0, 1, 2, 3, 4}


def test_padding_is_black_and_around() -> None:
    white = np.full((1, 200, 200, 3), 255, np.uint8)
    (shown,) = features.preprocess(white, 240, 0.1)
    assert np.array_equal(shown, np.pad(white[0], ((20, 20), (20, 20), (0, 0))))


def test_mistakes_are_named(dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match="'vgg': expected one of faceres-deep, dlib"):
        features.backbone_features(dataset, "vgg", QUIET)
    dataset.image_path(9).write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="cannot be used"):
        by_dlib(dataset)


def test_features_of_members_of_a_hybrid_are_cached_for_each(drawn: Dataset) -> None:
    small = {"backbone": "scratch", "size": 32, "widths": [8, 16], "depths": [1, 1]}

    def network(*members: dict) -> Network:
        table = {"backbone": "hybrid", "join": "beside", "size": 200, "frozen": len(members)}
        return Network(Config.check({"model": {**table, "members": list(members)}}, "drawn").model)

    torch.manual_seed(0)
    pair = network({**small, "padding": 0.1}, small)
    made = features.network_features(drawn, pair, QUIET)
    seen = np.stack([chips.read(drawn.image_path(row)) for row in range(12)])
    for side, shown in enumerate((seen, seen[:, :, ::-1])):
        with torch.inference_mode():
            expected = pair.eval().extract_features(torch.from_numpy(np.ascontiguousarray(shown)))
        assert np.allclose(made[:12, side], expected.numpy(), rtol=2e-3, atol=1e-3)
    cached = set(drawn.folder.glob("features-*.npy"))
    assert len(cached) == 2
    other = network(small, small)
    other.backbone.members[0] = pair.backbone.members[1]  # known
    features.network_features(drawn, other, QUIET)
    assert len(set(drawn.folder.glob("features-*.npy")) - cached) == 1
