import numpy as np
import polars as pl
import pytest

from agelens.data.dataset import Dataset
from agelens.errors import DatasetError
from agelens.evaluation import metrics
from agelens.training.batches.targets import read_teacher
from agelens.training.experiments import out_of_fold
from agelens.training.experiments.out_of_fold import Labels, predict_folds
from agelens.training.recipes.config import Config
from drawn import write_dataset
from runs import QUIET


def informative(ages: np.ndarray, female: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(0)
    clean = np.stack([ages / 100, female, *random.normal(0, 1, (6, len(ages)))], axis=1)
    both = np.stack([clean, clean], axis=1)
    return (both + random.normal(0, 0.01, both.shape)).astype(np.float16)


def test_predictions_come_from_other_folds() -> None:
    # Each fold labels the same features the other way round: none may be learnt.
    random = np.random.default_rng(1)
    folds = np.repeat([0, 1], 300)
    bit = random.integers(0, 2, 600)
    female = np.where(folds == 0, bit, 1 - bit)
    features = informative(np.full(600, 40), bit)
    answers = predict_folds(features, Labels(np.full(600, 40), female, folds), 1, QUIET)
    assert metrics.gender_accuracy(answers.female_probability, female) < 0.1
    assert np.allclose(answers.age_probabilities.sum(axis=1), 1, atol=1e-4)


def test_only_trusted_faces_are_trained_on() -> None:
    # Half of the labels are the wrong way round; without them the rest is learnt well.
    random = np.random.default_rng(2)
    bit, wrong = random.integers(0, 2, 600), random.random(600) < 0.5
    labels = Labels(np.full(600, 40), np.where(wrong, 1 - bit, bit), np.arange(600) % 2)
    answers = predict_folds(informative(np.full(600, 40), bit), labels, 1, QUIET, ~wrong)
    assert metrics.gender_accuracy(answers.female_probability, bit) > 0.95


def test_a_split_predicts_its_training_faces_and_can_be_a_teacher(tmp_path, monkeypatch) -> None:
    dataset = Dataset(write_dataset(tmp_path, 240))
    samples = dataset.samples
    features = informative(samples["age"].to_numpy(), (samples["gender"] == "female").to_numpy())
    monkeypatch.setattr(out_of_fold, "backbone_features", lambda *_: features)
    table, about = out_of_fold.predict_out_of_fold(dataset, QUIET, seeds=1, split=0)
    rows = dataset.split(0).train
    assert table["file"].to_list() == samples["file"].gather(rows).to_list()
    assert set(table["fold"]) <= set(range(6))
    assert about["faces"] == len(rows)
    assert about["age_mae"] < 26  # a constant is off by 29, and these are few steps
    assert about["gender_accuracy"] > 0.75
    out_of_fold.write(table, about, tmp_path / "teacher-0.parquet")
    file = str(tmp_path / "teacher-{split}.parquet")
    recipe = {"data": {"teacher": file}, "loss": {"teacher": 0.5}}
    targets = read_teacher(Config.check(recipe, "test").filled(), dataset)
    assert np.allclose(targets.distribution[rows].sum(1), 1, atol=1e-4)
    unknown = np.setdiff1d(np.arange(len(dataset)), rows)
    assert float(targets.distribution[unknown].sum()) == 0


def test_a_single_fold_is_an_error(tmp_path) -> None:
    dataset = Dataset(write_dataset(tmp_path, 24))
    dataset.samples = dataset.samples.with_columns(pl.lit(3, pl.Int8).alias("fold"))
    with pytest.raises(DatasetError, match="are in one fold"):
        Labels.of(dataset)
