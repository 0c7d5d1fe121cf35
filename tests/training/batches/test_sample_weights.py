import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.training.batches import sample_weights
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.loader import make_loaders
from agelens.training.loop.metrics import MetricAccumulator
from agelens.training.loop.trainer import Trainer
from agelens.training.recipes.config import AugmentConfig, Config, DataConfig

TINY = "tiny"


def quiet() -> Progress:
    return Progress(disable=True)


def actions(path: Path, rows: list[tuple[str, str, str]]) -> str:
    lines = ["file,suggestion,weight", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def test_without_files_there_are_no_weights(small_data: Path) -> None:
    assert sample_weights.read_weights(DataConfig(), Dataset(small_data)) is None
    assert "exclude" not in Config().table()["data"]  # so that older runs can be resumed


def test_exclude_follows_the_suggestion_and_downweight_the_smallest_weight(
    small_data: Path, tmp_path: Path
) -> None:
    dataset = Dataset(small_data)
    files = dataset.samples["file"].to_list()
    path = actions(
        tmp_path / "actions.csv",
        [
            (files[3], "exclude", "0"),
            (files[5], "downweight", "0.5"),
            (files[5], "relabel", "0.25"),
            (files[7], "look", "1"),
        ],
    )
    excluded = sample_weights.read_weights(DataConfig(exclude=path), dataset)
    assert excluded is not None
    assert np.flatnonzero(excluded != 1).tolist() == [3]
    assert excluded[3] == 0
    weighed = sample_weights.read_weights(DataConfig(downweight=path), dataset)
    assert weighed is not None
    assert {row: weighed[row] for row in np.flatnonzero(weighed != 1)} == {3: 0, 5: 0.25}


def test_a_bare_list_of_files_is_excluded(small_data: Path, tmp_path: Path) -> None:
    dataset = Dataset(small_data)
    path = tmp_path / "list.csv"
    path.write_text(f"file\n{dataset.samples['file'][9]}\n", "utf-8")
    weights = sample_weights.read_weights(DataConfig(exclude=str(path)), dataset)
    assert weights is not None
    assert np.flatnonzero(weights == 0).tolist() == [9]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,weight\na,1\n", "has the columns name, weight: expected file"),
        ("file,weight\n{0},heavy\n", "line 2: weight 'heavy': expected 0 to 1"),
        ("file,weight\n{0},1\n{0},1.5\n", r"line 3: weight '1\.5'"),
        ("file\n{0}\n", "no column weight"),
        ("file,weight\nnobody.jpg,0\n", "1 files that the dataset lacks, such as 'nobody.jpg'"),
    ],
)
def test_faulty_files_are_an_error(
    small_data: Path, tmp_path: Path, text: str, message: str
) -> None:
    dataset = Dataset(small_data)
    path = tmp_path / "actions.csv"
    path.write_text(text.format(dataset.samples["file"][0]), "utf-8")
    with pytest.raises(TrainingError, match=message):
        sample_weights.read_weights(DataConfig(downweight=str(path)), dataset)


def test_a_missing_file_is_an_error(small_data: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot read data\.exclude = 'none\.csv'"):
        sample_weights.read_weights(DataConfig(exclude="none.csv"), Dataset(small_data))


def test_only_training_leaves_out_faces_of_weight_zero(small_data: Path) -> None:
    dataset, config = Dataset(small_data), Config.read(TINY)
    split = dataset.split(0)
    weights = np.ones(len(dataset), np.float32)
    weights[[split.train[2], split.validation[1]]] = 0
    weights[split.train[4]] = 0.5
    train, validation = make_loaders(config, dataset, quiet(), weights)
    batches = list(train.in_order())
    rows = np.concatenate([batch.rows for batch in batches])
    assert set(split.train) - set(rows) == {split.train[2]}
    seen = np.concatenate([batch.weights for batch in batches])
    assert seen.tolist() == weights[rows].tolist()
    assert sum(len(batch.rows) for batch in validation.in_order()) == len(split.validation)
    assert all(batch.weights is None for batch in validation.in_order())
    shuffled = list(train.shuffled(Augment(AugmentConfig()), 32, 0, 0))
    assert {
        row: weight
        for batch in shuffled
        for row, weight in zip(batch.rows, batch.weights, strict=True)
        if weight != 1
    } == {split.train[4]: 0.5}


def test_too_few_training_faces_are_an_error(small_data: Path) -> None:
    dataset = Dataset(small_data)
    with pytest.raises(TrainingError, match="leave 0 training faces"):
        make_loaders(Config.read(TINY), dataset, quiet(), np.zeros(len(dataset), np.float32))


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_the_loss_counts_each_face_by_its_weight(
    small_data: Path, tmp_path: Path, mixup: float
) -> None:
    dataset = Dataset(small_data)
    halves = actions(
        tmp_path / "a.csv", [(f, "downweight", "0.5") for f in dataset.samples["file"]]
    )

    def first_loss(config: Config) -> float:
        trainer = Trainer(config, dataset, tmp_path, quiet())
        torch.manual_seed(0)
        return trainer.step(next(trainer.train_loader.in_order()), MetricAccumulator())

    plain = Config.read(TINY, {"augment.mixup": mixup})
    weighed = Config.read(TINY, {"augment.mixup": mixup, "data.downweight": halves})
    before, after = (_resized(config) for config in (plain, weighed))
    assert first_loss(after) == pytest.approx(first_loss(before) / 2, rel=1e-5)


def _resized(config: Config) -> Config:
    """Let the network take chips as they are, so that no augmentation stands between."""
    return config.model_copy(update={"model": config.model.model_copy(update={"size": 200})})


def test_train_records_the_files_of_weights(
    small_data: Path, tmp_path: Path, stub_export: object
) -> None:
    dataset = Dataset(small_data)
    row = int(dataset.split(0).train[0])
    path = actions(tmp_path / "actions.csv", [(dataset.samples["file"][row], "exclude", "0")])
    words = [
        "train",
        "--config",
        str(TINY),
        "--data",
        str(small_data),
        "--run",
        str(tmp_path / "run"),
    ]
    quick = ["--set", "schedule.epochs=1", "--exclude", path, "--downweight", path]
    result = CliRunner().invoke(app, [*words, *quick], catch_exceptions=False)
    assert result.exit_code == 0
    about = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert about["config"]["data"] == {
        "split": 0, "share": 1.0, "exclude": path, "downweight": path,
    }  # fmt: skip
    with pytest.raises(TrainingError, match=r"data\.exclude was '.*', is None"):
        again = [*words, "--set", "schedule.epochs=1", "--downweight", path, "--resume"]
        CliRunner().invoke(app, again, catch_exceptions=False)
