import json
from pathlib import Path

import numpy as np
import pytest
import torch

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference import distribution
from agelens.inference.runtime import Model
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.loader import FeatureLoader, make_loaders
from agelens.training.experiments.run import train
from agelens.training.export import exporter
from agelens.training.loop.trainer import COLUMNS, Trainer
from agelens.training.networks import checkpoint
from runs import QUIET, StoppedError, figures, history, stop_after, tiny, trainer


def test_it_learns_from_drawn_faces(finished: Path, data: Path) -> None:
    rows = history(finished)
    assert list(rows[0]) == list(COLUMNS)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    first, last = ({k: float(v) for k, v in row.items()} for row in (rows[0], rows[-1]))
    ages = Dataset(data).samples["age"].to_numpy()
    of_a_constant = np.abs(ages - np.median(ages)).mean()
    assert last["validation_mae"] < 0.5 * of_a_constant
    assert last["validation_gender_accuracy"] > 0.9
    assert last["train_loss"] < first["train_loss"]
    assert last["train_mae"] < 0.5 * first["train_mae"]
    assert last["train_cs5"] > first["train_cs5"]
    assert last["train_gender_accuracy"] > 0.9
    # training and validation faces are alike, so their figures are close
    assert abs(last["train_mae"] - last["validation_mae"]) < 5


def test_mixup_leaves_training_accuracy_empty(dataset: Dataset, tmp_path: Path) -> None:
    trainer(dataset, tmp_path, augment__mixup=0.4, schedule__epochs=1).fit()
    (row,) = history(tmp_path)
    assert row["train_mae"] == row["train_cs5"] == row["train_gender_accuracy"] == ""
    assert float(row["train_loss"]) > 0


def test_a_run_of_an_older_version_resumes(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        trainer(dataset, tmp_path, schedule__epochs=3).fit(stop_after(2))
    last = tmp_path / "last.safetensors"
    tensors, about = checkpoint.load(last)
    row = about["state"]["history"][0]
    for key in [key for key in row if key.startswith("train_") and key != "train_loss"]:
        del row[key]
    checkpoint.save(last, tensors, about)
    later = trainer(dataset, tmp_path, schedule__epochs=3)
    later.resume()
    later.fit()
    old, _, new = history(tmp_path)
    assert (old["train_mae"], old["train_seconds"]) == ("", "")
    assert old["validation_mae"] == str(row["validation_mae"])
    assert float(new["train_mae"]) > 0


def test_a_run_folder_records_all_but_paths(finished: Path, data: Path) -> None:
    about = json.loads((finished / "run.json").read_text("utf-8"))
    assert about["config"] == tiny().table()
    assert about["data"] == {"fingerprint": Dataset(data).fingerprint, "samples": 360}
    assert (about["versions"]["torch"], about["epochs"]) == (torch.__version__, 12)
    errors = [float(row["validation_mae"]) for row in history(finished)]
    assert about["best"]["validation_mae"] == min(errors)
    assert about["parity_years"] < exporter.PARITY_YEARS
    assert {path.name for path in finished.iterdir()} == {
        "run.json", "history.csv", "model.onnx", "best.safetensors", "best.json",
        "last.safetensors", "last.json",
    }  # fmt: skip
    package = str(Path(exporter.__file__).parents[2]).encode()
    assert package not in (finished / "model.onnx").read_bytes()


def test_the_exported_model_predicts_as_trained(finished: Path, data: Path) -> None:
    model = Model(finished / "model.onnx")
    errors = []
    for batch in make_loaders(tiny(), Dataset(data), QUIET)[1].in_order():
        output = model.run(batch.chips)
        assert np.allclose(output.age_probabilities.sum(-1), 1, atol=1e-5)
        median = distribution.median(output.age_probabilities)
        assert np.allclose(median, output.age_years, atol=1e-2)
        unscaled = exporter.scale_logits(output.age_probabilities, 1 / model.card["scaling"]["age"])
        errors.append(np.abs(distribution.median(unscaled) - batch.ages))
    best = json.loads((finished / "best.json").read_text("utf-8"))
    mae = float(np.concatenate(errors).mean())
    assert mae == pytest.approx(best["figures"]["validation_mae"], abs=2e-3)
    assert model.card["name"] == "tiny"
    assert "non-commercial" in model.card["licence"]
    assert len(model.card["interval"]["low"]) == 117
    levels = model.interval_levels()
    assert levels.low.shape == levels.high.shape == (117,)


def test_resume_gives_the_same_result(small_data: Path, tmp_path: Path, stub_export: None) -> None:
    config, whole, run = tiny(schedule__epochs=4), tmp_path / "whole", tmp_path / "stopped"
    train(config, small_data, whole, QUIET)
    with pytest.raises(StoppedError):
        train(config, small_data, run, QUIET, on_epoch=stop_after(2))
    assert not (run / "model.onnx").exists()
    with pytest.raises(TrainingError, match="--resume"):
        train(config, small_data, run, QUIET)
    train(config, small_data, run, QUIET, resume=True)
    assert figures(run) == figures(whole)
    ours, theirs = (checkpoint.load(one / "last.safetensors")[0] for one in (run, whole))
    assert {name.partition(".")[0] for name in ours} == {"network", "averaged", "optimizer"}
    assert "optimizer.0.exp_avg_sq" in ours
    assert all(torch.equal(ours[name], theirs[name]) for name in ours.keys() | theirs.keys())
    with pytest.raises(TrainingError, match=r"optimizer\.rate was 0\.01, is 0\.5"):
        train(tiny(optimizer__rate=0.5), small_data, run, QUIET, resume=True)


def test_early_stopping(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([31.0, 30.0, 30.5, 30.0])
    monkeypatch.setattr(Trainer, "validate", lambda _: {"validation_mae": next(errors)})
    state = trainer(dataset, tmp_path, schedule__epochs=20, schedule__patience=2).fit()
    assert (state.epoch, state.best_epoch, state.best_mae) == (4, 2, 30.0)


def test_a_loss_of_nan_ends_the_run(dataset: Dataset, tmp_path: Path) -> None:
    diverged = trainer(dataset, tmp_path)
    torch.nn.init.constant_(diverged.network.age.bias, float("nan"))
    with pytest.raises(TrainingError, match=r"the loss became nan in epoch 1"):
        diverged.fit()


FROZEN = {
    "model__frozen": 3, "model__hidden": 16, "model__standardise": True, "augment__rotate": 0.0,
    "augment__scale": 0.0, "augment__shift": 0.0, "schedule__epochs": 2, "schedule__warmup": 0.0,
}  # fmt: skip


def test_a_frozen_backbone_trains_on_cached_features(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(**FROZEN)
    frozen = trainer(dataset, tmp_path, **FROZEN)
    assert isinstance(frozen.train_loader, FeatureLoader)
    augmented = trainer(dataset, tmp_path, **{**FROZEN, "augment__rotate": 5.0})
    assert not isinstance(augmented.train_loader, FeatureLoader)
    batch = next(frozen.train_loader.shuffled(Augment(config.augment), 32, 0, 0))
    network = frozen.network
    assert batch.chips.shape == (16, network.num_features)
    assert network.norm.scale.std() > 0  # type: ignore[operator,union-attr]
    features = np.load(next(dataset.folder.glob("features-*.npy")))
    assert features.shape == (len(dataset), 2, network.num_features)
    chips = make_loaders(config, dataset, QUIET)[1].in_order()
    with torch.inference_mode():
        for ours, theirs in zip(chips, frozen.validation_loader.in_order(), strict=True):
            assert np.array_equal(ours.rows, theirs.rows)
            age, _ = network.eval()(torch.from_numpy(ours.chips))
            by_features, _ = network(torch.from_numpy(theirs.chips))
            assert torch.allclose(age, by_features, atol=0.02)

    def export(network: torch.nn.Module, *_: object, **__: object) -> float:
        age, _ = network(torch.zeros(2, 200, 200, 3, dtype=torch.uint8))
        assert age.shape == (2, 117)
        return 1e-6

    monkeypatch.setattr(exporter, "export", export)
    assert train(config, dataset.folder, tmp_path / "run", QUIET)["parity_years"] == 1e-6
