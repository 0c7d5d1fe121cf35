"""Features by a frozen network: computed once, resumed, and of the mirror image too."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import nn

from agelens.data import chips
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError, TrainingError
from agelens.training.batches import feature_cache, features
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config
from drawn import write_dataset


class Halves(nn.Module):
    """Two features: the brightness of the left half and of the right half."""

    num_features = 2
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        type(self).calls += 1
        half = x.shape[-1] // 2
        sides = x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3))
        return torch.stack(sides, 1)[:, :, None, None]


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch) -> Dataset:
    monkeypatch.setattr(features.backbones, "build", lambda config: Halves())
    monkeypatch.setattr(feature_cache, "_faster_precision", lambda describe: "float32")
    monkeypatch.setattr(feature_cache, "BATCH", 8)
    monkeypatch.setattr(feature_cache, "_CHECKPOINT_EVERY", 1)
    Halves.calls = 0
    return Dataset(write_dataset(tmp_path, 40))


def quiet() -> Progress:
    return Progress(disable=True)


def test_features_are_of_chips_in_order_and_mirrored(dataset: Dataset) -> None:
    made = features.backbone_features(dataset, "dlib", quiet())
    assert made.shape == (40, 2, 2)
    assert made.dtype == np.float16
    assert made[:, 0] == pytest.approx(made[:, 1, ::-1], rel=1e-2)
    brightness = [chips.read(dataset.image_path(row)).mean() for row in range(40)]
    assert made[:, 0].mean(axis=1) == pytest.approx(brightness, rel=1e-2)


def test_they_are_computed_once_and_anew_for_other_pictures(dataset: Dataset, tmp_path) -> None:
    first = np.array(features.backbone_features(dataset, "dlib", quiet()))
    calls = Halves.calls
    assert np.array_equal(features.backbone_features(dataset, "dlib", quiet()), first)
    assert Halves.calls == calls
    stamp = dataset.folder / "features-dlib.json"
    stamp.write_text(stamp.read_text().replace('"pictures": "', '"pictures": "0'))
    features.backbone_features(dataset, "dlib", quiet())
    assert Halves.calls == 2 * calls


def test_a_stopped_run_goes_on_to_the_same(dataset: Dataset, monkeypatch) -> None:
    whole = np.array(features.backbone_features(dataset, "dlib", quiet()))
    (dataset.folder / "features-dlib.json").unlink()
    (dataset.folder / "features-dlib.npy").unlink()
    run, Halves.calls = feature_cache._run, 0

    def stop(*words):
        if Halves.calls == 7:  # in the middle of the mirror images
            raise KeyboardInterrupt
        return run(*words)

    monkeypatch.setattr(feature_cache, "_run", stop)
    with pytest.raises(KeyboardInterrupt):
        features.backbone_features(dataset, "dlib", quiet())
    assert not (dataset.folder / "features-dlib.npy").exists()
    monkeypatch.setattr(feature_cache, "_run", run)
    assert np.array_equal(features.backbone_features(dataset, "dlib", quiet()), whole)
    assert Halves.calls == 10  # five batches of chips, five of mirror images: none twice
    assert not list(dataset.folder.glob("*.part*"))


def test_two_runs_at_once_compute_them_once(dataset: Dataset) -> None:
    with ThreadPoolExecutor(2) as both:
        made = list(
            both.map(lambda _: features.backbone_features(dataset, "dlib", quiet()), range(2))
        )
    assert np.array_equal(*made)
    assert Halves.calls == 2 * 5  # batches of chips and of mirror images


def test_padding_is_black_and_around(dataset: Dataset) -> None:
    white = np.full((1, 200, 200, 3), 255, np.uint8)
    shown = features.preprocess(white, features.InputView(240, 0.1))
    assert shown.shape == (1, 240, 240, 3)
    assert not shown[0, :20].any()
    assert not shown[0, :, 220:].any()
    assert (shown[0, 20:220, 20:220] == 255).all()


def test_mistakes_are_named(dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match="'vgg': expected one of faceres-deep, dlib"):
        features.backbone_features(dataset, "vgg", quiet())
    dataset.image_path(9).write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="cannot be used"):
        features.backbone_features(dataset, "dlib", quiet())


def test_members_of_a_hybrid_are_kept_each_for_itself(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(feature_cache, "_faster_precision", lambda describe: "float32")
    small = {"backbone": "scratch", "size": 32, "widths": [8, 16], "depths": [1, 1]}

    def network(*members: dict) -> Network:
        table = {"backbone": "hybrid", "join": "beside", "size": 200, "frozen": len(members)}
        return Network(Config.check({"model": {**table, "members": list(members)}}, "drawn").model)

    dataset = Dataset(write_dataset(tmp_path, 12))
    torch.manual_seed(0)
    pair = network({**small, "padding": 0.1}, small)
    made = features.network_features(dataset, pair, quiet())
    seen = np.stack([chips.read(dataset.image_path(row)) for row in range(12)])
    for side, shown in enumerate((seen, seen[:, :, ::-1])):
        with torch.inference_mode():
            expected = pair.eval().extract_features(torch.from_numpy(np.ascontiguousarray(shown)))
        assert np.allclose(made[:, side], expected.numpy(), rtol=2e-3, atol=1e-3)
    kept = set(dataset.folder.glob("features-*.npy"))
    assert len(kept) == 2
    other = network(small, small)
    other.backbone.members[0] = pair.backbone.members[1]  # known
    features.network_features(dataset, other, quiet())
    assert len(set(dataset.folder.glob("features-*.npy")) - kept) == 1
