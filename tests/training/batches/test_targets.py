import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.loader import make_loaders
from agelens.training.batches.targets import read_weights
from agelens.training.loop.metrics import MetricAccumulator
from agelens.training.recipes.config import AugmentConfig, Config, DataConfig
from runs import QUIET, tiny, trainer


def write_actions(path: Path, *rows: tuple[str, str, str]) -> str:
    lines = ["file,suggestion,weight", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def weighted(dataset: Dataset, **files: object) -> dict[int, float]:
    weights = read_weights(DataConfig(**files), dataset)
    return {row: weights[row] for row in np.flatnonzero(weights != 1).tolist()}


def test_exclude_takes_suggestions_and_downweight_weights(dataset: Dataset, tmp_path: Path) -> None:
    assert read_weights(DataConfig(), dataset) is None
    assert "exclude" not in Config().table()["data"]  # so that older runs can be resumed
    files = dataset.samples["file"].to_list()
    path = write_actions(
        tmp_path / "actions.csv", (files[3], "exclude", "0"), (files[5], "downweight", "0.5"),
        (files[5], "relabel", "0.25"), (files[7], "look", "1"),
    )  # fmt: skip
    assert weighted(dataset, exclude=path) == {3: 0}
    assert weighted(dataset, downweight=path) == {3: 0, 5: 0.25}
    bare_list = tmp_path / "list.csv"
    bare_list.write_text(f"file\n{files[9]}\n", "utf-8")
    assert weighted(dataset, exclude=str(bare_list)) == {9: 0}


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
def test_faulty_files_are_named(dataset: Dataset, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "actions.csv"
    path.write_text(text.format(dataset.samples["file"][0]), "utf-8")
    with pytest.raises(TrainingError, match=message):
        read_weights(DataConfig(downweight=str(path)), dataset)
    with pytest.raises(TrainingError, match=r"cannot read data\.exclude = 'none\.csv'"):
        read_weights(DataConfig(exclude="none.csv"), dataset)


def test_only_training_leaves_out_faces_of_weight_zero(dataset: Dataset) -> None:
    split = dataset.split(0)
    weights = np.ones(len(dataset), np.float32)
    weights[[split.train[2], split.validation[1]]] = 0
    weights[split.train[4]] = 0.5
    train, validation = make_loaders(tiny(), dataset, QUIET, weights)
    batches = list(train.in_order())
    rows = np.concatenate([batch.rows for batch in batches])
    assert set(split.train) - set(rows) == {split.train[2]}
    seen = np.concatenate([batch.weights for batch in batches])
    assert seen.tolist() == weights[rows].tolist()
    assert sum(len(batch.rows) for batch in validation.in_order()) == len(split.validation)
    assert all(batch.weights is None for batch in validation.in_order())
    for batch in train.shuffled(Augment(AugmentConfig()), 32, 0, 0):
        assert batch.weights.tolist() == weights[batch.rows].tolist()
    with pytest.raises(TrainingError, match="leave 0 training faces"):
        make_loaders(tiny(), dataset, QUIET, np.zeros(len(dataset), np.float32))


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_the_loss_counts_faces_by_weight(dataset: Dataset, tmp_path: Path, mixup: float) -> None:
    rows = [(file, "downweight", "0.5") for file in dataset.samples["file"]]
    halves = write_actions(tmp_path / "a.csv", *rows)

    def first_loss(**changes: object) -> float:
        # at 200 pixels the network takes chips as they are, so that no augmentation stands between
        made = trainer(dataset, tmp_path, augment__mixup=mixup, model__size=200, **changes)
        torch.manual_seed(0)
        return made.step(next(made.train_loader.in_order()), MetricAccumulator())

    assert first_loss(data__downweight=halves) == pytest.approx(first_loss() / 2, rel=1e-5)


def test_train_records_weight_files(dataset: Dataset, tmp_path: Path, stub_export: None) -> None:
    file = dataset.samples["file"][int(dataset.split(0).train[0])]
    path = write_actions(tmp_path / "actions.csv", (file, "exclude", "0"))
    words = ["train", "tiny", "--data", str(dataset.folder), "--run", str(tmp_path / "run")]
    words += ["--set", "schedule.epochs=1", "--downweight", path]
    result = CliRunner().invoke(app, [*words, "--exclude", path], catch_exceptions=False)
    assert result.exit_code == 0
    about = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert about["config"]["data"] == {
        "split": 0, "share": 1.0, "exclude": path, "downweight": path,
    }  # fmt: skip
    with pytest.raises(TrainingError, match=r"data\.exclude was '.*', is None"):
        CliRunner().invoke(app, [*words, "--resume"], catch_exceptions=False)
