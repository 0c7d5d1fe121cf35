"""A whole run on drawn faces: it learns, stops, resumes to the same result, and is recorded."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from rich.progress import Progress

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference import distribution
from agelens.inference.runtime import Model
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.loader import Loader, Recall
from agelens.training.experiments.run import export_again, train
from agelens.training.export import exporter
from agelens.training.loop.trainer import COLUMNS, Training, loaders
from agelens.training.networks import checkpoint
from agelens.training.recipes.config import AugmentConfig, Config
from drawn import write_dataset

TINY = "tiny"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def config() -> Config:
    return Config.read(TINY)


def history(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "history.csv").read_text("utf-8").splitlines()))


def quiet() -> Progress:
    return Progress(disable=True)


@pytest.fixture(scope="module")
def finished(data: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(config, data, run, quiet())
    return run


def test_it_learns_from_drawn_faces(finished: Path, data: Path) -> None:
    rows = history(finished)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    ages = Dataset(data).samples["age"].to_numpy()
    knows_nothing = np.abs(ages - np.median(ages)).mean()
    assert float(rows[-1]["validation_mae"]) < 0.5 * knows_nothing
    assert float(rows[-1]["validation_gender_accuracy"]) > 0.9
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])


def test_history_tells_how_right_training_was(finished: Path) -> None:
    rows = history(finished)
    assert list(rows[0]) == list(COLUMNS)
    first, last = (
        {key: float(row[f"train_{key}"]) for key in ("mae", "cs5", "gender_accuracy")}
        for row in (rows[0], rows[-1])
    )
    assert last["mae"] < 0.5 * first["mae"]
    assert last["cs5"] > first["cs5"]
    assert last["gender_accuracy"] > 0.9
    # what is learnt shows on faces like them: the two figures are not worlds apart
    assert abs(last["mae"] - float(rows[-1]["validation_mae"])) < 5


def test_with_mixup_no_face_has_a_label_of_its_own(
    data: Path, config: Config, tmp_path: Path
) -> None:
    mixed = Config.check(
        config.table() | {"augment": config.augment.model_dump() | {"mixup": 0.4}}, "mixed"
    ).model_copy(update={"schedule": config.schedule.model_copy(update={"epochs": 1})})
    Training(mixed, Dataset(data), tmp_path, quiet()).fit()
    (row,) = history(tmp_path)
    assert row["train_mae"] == row["train_cs5"] == row["train_gender_accuracy"] == ""
    assert float(row["train_loss"]) > 0


def test_a_run_of_an_older_version_goes_on(data: Path, config: Config, tmp_path: Path) -> None:
    two = config.model_copy(update={"schedule": config.schedule.model_copy(update={"epochs": 2})})
    begun = Training(two, Dataset(data), tmp_path, quiet())

    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begun.fit(stop)
    last = tmp_path / "last.safetensors"
    tensors, about = checkpoint.load(last)
    (row,) = about["state"]["history"]
    about["state"]["history"] = [
        {k: v for k, v in row.items() if k == "train_loss" or not k.startswith("train_")}
    ]
    checkpoint.save(last, tensors, about)
    later = Training(two, Dataset(data), tmp_path, quiet())
    later.resume()
    later.fit()
    old, new = history(tmp_path)
    assert (old["train_mae"], old["train_seconds"]) == ("", "")
    assert old["validation_mae"] == str(row["validation_mae"])
    assert float(new["train_mae"]) > 0


def test_the_run_folder_tells_everything(finished: Path, data: Path, config: Config) -> None:
    about = json.loads((finished / "run.json").read_text("utf-8"))
    assert about["config"] == config.table()
    assert about["data"] == {"fingerprint": Dataset(data).fingerprint, "samples": 360}
    assert about["versions"]["torch"] == torch.__version__
    assert about["epochs"] == 12
    assert about["best"]["validation_mae"] == min(
        float(row["validation_mae"]) for row in history(finished)
    )
    assert about["parity_years"] < exporter.PARITY_YEARS
    assert {path.name for path in finished.iterdir()} == {
        *("run.json", "history.csv", "model.onnx"),
        *("best.safetensors", "best.json", "last.safetensors", "last.json"),
    }


def test_the_exported_model_says_what_the_checkpoint_said(
    finished: Path, data: Path, config: Config
) -> None:
    model = Model(finished / "model.onnx")
    _, validation = loaders(config, Dataset(data), quiet())
    error = []
    for batch in validation.plain():
        output = model.run(batch.chips)
        assert np.allclose(output.age_probabilities.sum(-1), 1, atol=1e-5)
        median = distribution.median(output.age_probabilities)
        assert np.allclose(median, output.age_years, atol=1e-2)
        as_trained = exporter.sharpened(output.age_probabilities, 1 / model.card["scaling"]["age"])
        error.append(np.abs(distribution.median(as_trained) - batch.ages))
    best = json.loads((finished / "best.json").read_text("utf-8"))
    mae = float(np.concatenate(error).mean())
    assert mae == pytest.approx(best["figures"]["validation_mae"], abs=2e-3)
    assert model.card["name"] == "tiny"
    package = str(Path(exporter.__file__).parents[2]).encode()
    assert package not in (finished / "model.onnx").read_bytes()  # no paths of the maker's disk
    assert "non-commercial" in model.card["licence"]
    levels = model.interval_levels()
    assert levels.low.shape == levels.high.shape == (117,)
    assert len(model.card["interval"]["low"]) == 117


def test_a_stopped_run_resumes_to_the_same_result(
    finished: Path, data: Path, config: Config, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop_after_three(row: dict[str, float]) -> None:
        if row["epoch"] == 3:
            raise StoppedError

    run = tmp_path / "stopped"
    with pytest.raises(StoppedError):
        train(config, data, run, quiet(), on_epoch=stop_after_three)
    assert not (run / "model.onnx").exists()
    with pytest.raises(TrainingError, match="--resume"):
        train(config, data, run, quiet())
    train(config, data, run, quiet(), resume=True)

    def figures(folder: Path) -> list[dict[str, str]]:
        timed = {"train_seconds", "faces_per_second"}
        return [{k: v for k, v in row.items() if k not in timed} for row in history(folder)]

    assert figures(run) == figures(finished)


def test_another_recipe_cannot_resume(finished: Path, data: Path, config: Config) -> None:
    other = config.model_copy(
        update={"optimizer": config.optimizer.model_copy(update={"rate": 0.5})}
    )
    with pytest.raises(TrainingError, match=r"optimizer\.rate was 0\.01, is 0\.5"):
        train(other, data, finished, quiet(), resume=True)


def test_it_stops_when_validation_no_longer_improves(
    data: Path, config: Config, tmp_path: Path
) -> None:
    still = config.model_copy(
        update={
            "optimizer": config.optimizer.model_copy(update={"rate": 1e-9}),
            "schedule": config.schedule.model_copy(update={"epochs": 20, "patience": 2}),
        }
    )
    training = Training(still, Dataset(data), tmp_path, quiet())
    state = training.fit()
    assert state.epoch < 20
    assert state.epoch == state.best_epoch + 2


def test_a_loss_that_is_no_number_ends_the_run(data: Path, config: Config, tmp_path: Path) -> None:
    training = Training(config, Dataset(data), tmp_path, quiet())
    with torch.no_grad():
        training.network.age.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the loss became nan in epoch 1"):
        training.fit()


def test_export_again_gives_the_same_model(finished: Path, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "model.onnx").unlink()
    about = export_again(copy, data, quiet())
    assert about["parity_years"] < exporter.PARITY_YEARS
    assert about["epochs"] == 12
    chips = np.random.default_rng(0).integers(0, 256, (3, 200, 200, 3), np.uint8)
    ours, theirs = (Model(folder / "model.onnx").run(chips) for folder in (copy, finished))
    assert np.allclose(ours.age_years, theirs.age_years, atol=1e-3)


def test_a_model_that_differs_is_not_written(finished: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(exporter, "parity", lambda *_: 0.02)
    net = export_network(finished)
    with pytest.raises(TrainingError, match=r"differs from torch by 0\.0200 years"):
        exporter.export(net, tmp_path / "model.onnx", {"name": "x"})
    assert list(tmp_path.iterdir()) == []


def test_float16_weights_are_smaller_and_keep_the_answers(finished: Path, tmp_path: Path) -> None:
    net = export_network(finished)
    exporter.rounded(net)
    whole, half = tmp_path / "whole.onnx", tmp_path / "half.onnx"
    exporter.export(net, whole, {"name": "x"})
    assert exporter.export(net, half, {"name": "x"}, half=True) < exporter.PARITY_YEARS
    chips = np.random.default_rng(0).integers(0, 256, (3, 200, 200, 3), np.uint8)
    ages = [Model(file).run(chips).age_probabilities for file in (whole, half)]
    assert np.array_equal(*ages)
    sizes = [
        sum(len(t.raw_data) for t in onnx.load(file).graph.initializer) for file in (whole, half)
    ]
    assert sizes[1] <= sizes[0] - 2 * net.age.weight.numel()


def export_network(run: Path):
    from agelens.training.networks import checkpoint
    from agelens.training.networks.network import Network

    tensors, about = checkpoint.load(run / "best.safetensors")
    net = Network(Config.check(about["config"], "run").model, start=False)
    net.load_state_dict(tensors)
    return net


def test_a_loader_gives_each_face_once_and_the_same_order_for_a_seed() -> None:
    chips = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 200, 200, 3), np.uint8)
    rows = np.array([1, 3, 4, 7, 9])
    loader = Loader(chips, rows, rows * 10, rows % 2, 2)
    plain = [batch.ages.tolist() for batch in loader.plain()]
    assert plain == [[10, 30], [40, 70], [90]]
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


STILL = {
    "model.frozen": 3, "model.hidden": 16, "model.standardise": True, "augment.rotate": 0.0,
    "augment.scale": 0.0, "augment.shift": 0.0, "schedule.epochs": 2, "schedule.warmup": 0.0,
}  # fmt: skip


def test_a_frozen_backbone_is_asked_once_for_each_chip(data: Path, tmp_path: Path) -> None:
    """Trained on remembered features and exported whole, it says what the features say."""
    config = Config.read(TINY, STILL)
    dataset = Dataset(data)
    training = Training(config, dataset, tmp_path, quiet())
    assert isinstance(training.train, Recall)
    batch = next(training.train.shuffled(Augment(config.augment), 32, 0, 0))
    assert batch.chips.shape == (16, training.network.features)
    assert training.network.norm.scale.std() > 0  # type: ignore[operator,union-attr]
    features = np.load(next(data.glob("features-*.npy")))
    assert features.shape == (len(dataset), 2, training.network.features)
    chips = loaders(config, dataset, quiet())[1]
    with torch.inference_mode():
        for ours, theirs in zip(chips.plain(), training.validation.plain(), strict=True):
            assert np.array_equal(ours.rows, theirs.rows)
            age, _ = training.network.eval()(torch.from_numpy(ours.chips))
            recalled, _ = training.network(torch.from_numpy(theirs.chips))
            assert torch.allclose(age, recalled, atol=0.02)


def test_chips_that_change_are_not_remembered(data: Path, tmp_path: Path) -> None:
    config = Config.read(TINY, {**STILL, "augment.rotate": 5.0})
    assert not isinstance(Training(config, Dataset(data), tmp_path, quiet()).train, Recall)


def test_a_run_on_remembered_features_is_whole(data: Path, tmp_path: Path) -> None:
    about = train(Config.read(TINY, STILL), data, tmp_path / "still", quiet())
    assert about["parity_years"] < 1e-3
    assert Model(tmp_path / "still").run(np.zeros((2, 200, 200, 3), np.uint8)).age_years.shape == (
        2,
    )
