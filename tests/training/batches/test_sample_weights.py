"""What the audit found reaches training as weights."""

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
from agelens.training.loop.accuracy import Accuracy
from agelens.training.loop.trainer import Training, loaders
from agelens.training.recipes.config import AugmentConfig, Config, DataConfig
from drawn import write_dataset

TINY = "tiny"


def quiet() -> Progress:
    return Progress(disable=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("drawn"), 60)


def actions(path: Path, rows: list[tuple[str, str, str]]) -> str:
    lines = ["file,suggestion,weight", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def test_nothing_asked_for_is_no_weights(data: Path) -> None:
    assert sample_weights.read(DataConfig(), Dataset(data)) is None
    assert "exclude" not in Config().table()["data"]  # so that older runs can be resumed


def test_exclude_takes_what_is_suggested_and_downweight_the_smallest(
    data: Path, tmp_path: Path
) -> None:
    dataset = Dataset(data)
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
    excluded = sample_weights.read(DataConfig(exclude=path), dataset)
    assert excluded is not None
    assert np.flatnonzero(excluded != 1).tolist() == [3]
    assert excluded[3] == 0
    weighed = sample_weights.read(DataConfig(downweight=path), dataset)
    assert weighed is not None
    assert {row: weighed[row] for row in np.flatnonzero(weighed != 1)} == {3: 0, 5: 0.25}


def test_a_bare_list_of_files_is_excluded(data: Path, tmp_path: Path) -> None:
    dataset = Dataset(data)
    path = tmp_path / "list.csv"
    path.write_text(f"file\n{dataset.samples['file'][9]}\n", "utf-8")
    weights = sample_weights.read(DataConfig(exclude=str(path)), dataset)
    assert weights is not None
    assert np.flatnonzero(weights == 0).tolist() == [9]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,weight\na,1\n", "has the columns name, weight: expected file"),
        ("file,weight\n{0},heavy\n", "line 2: weight 'heavy': expected 0 to 1"),
        ("file,weight\n{0},1\n{0},1.5\n", r"line 3: weight '1\.5'"),
        ("file\n{0}\n", "no column weight"),
        ("file,weight\nnobody.jpg,0\n", "1 files that the dataset lacks, such as 'nobody.jpg'"),
    ],
)
def test_mistakes_are_named(data: Path, tmp_path: Path, text: str, said: str) -> None:
    dataset = Dataset(data)
    path = tmp_path / "actions.csv"
    path.write_text(text.format(dataset.samples["file"][0]), "utf-8")
    with pytest.raises(TrainingError, match=said):
        sample_weights.read(DataConfig(downweight=str(path)), dataset)


def test_a_missing_file_is_named(data: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot read data\.exclude = 'none\.csv'"):
        sample_weights.read(DataConfig(exclude="none.csv"), Dataset(data))


def test_loaders_leave_out_weight_zero_from_training_alone(data: Path) -> None:
    dataset, config = Dataset(data), Config.read(TINY)
    split = dataset.split(0)
    weights = np.ones(len(dataset), np.float32)
    weights[[split.train[2], split.validation[1]]] = 0
    weights[split.train[4]] = 0.5
    train, validation = loaders(config, dataset, quiet(), weights)
    batches = list(train.plain())
    rows = np.concatenate([batch.rows for batch in batches])
    assert set(split.train) - set(rows) == {split.train[2]}
    seen = np.concatenate([batch.weights for batch in batches])
    assert seen.tolist() == weights[rows].tolist()
    assert sum(len(batch.rows) for batch in validation.plain()) == len(split.validation)
    assert all(batch.weights is None for batch in validation.plain())
    shuffled = list(train.shuffled(Augment(AugmentConfig()), 32, 0, 0))
    assert {
        row: weight
        for batch in shuffled
        for row, weight in zip(batch.rows, batch.weights, strict=True)
        if weight != 1
    } == {split.train[4]: 0.5}


def test_nothing_left_to_train_on_is_said(data: Path) -> None:
    dataset = Dataset(data)
    with pytest.raises(TrainingError, match="leave 0 training faces"):
        loaders(Config.read(TINY), dataset, quiet(), np.zeros(len(dataset), np.float32))


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_the_loss_counts_each_face_by_its_weight(data: Path, tmp_path: Path, mixup: float) -> None:
    dataset = Dataset(data)
    halves = actions(
        tmp_path / "a.csv", [(f, "downweight", "0.5") for f in dataset.samples["file"]]
    )

    def first_loss(config: Config) -> float:
        training = Training(config, dataset, tmp_path, quiet())
        torch.manual_seed(0)
        return training.step(next(training.train.plain()), Accuracy())

    plain = Config.read(TINY, {"augment.mixup": mixup})
    weighed = Config.read(TINY, {"augment.mixup": mixup, "data.downweight": halves})
    before, after = (_resized(config) for config in (plain, weighed))
    assert first_loss(after) == pytest.approx(first_loss(before) / 2, rel=1e-5)


def _resized(config: Config) -> Config:
    """Let the network take chips as they are, so that no augmentation stands between."""
    return config.model_copy(update={"model": config.model.model_copy(update={"size": 200})})


def test_train_records_what_it_left_out(data: Path, tmp_path: Path) -> None:
    dataset = Dataset(data)
    row = int(dataset.split(0).train[0])
    path = actions(tmp_path / "actions.csv", [(dataset.samples["file"][row], "exclude", "0")])
    words = ["train", "--config", str(TINY), "--data", str(data), "--run", str(tmp_path / "run")]
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
