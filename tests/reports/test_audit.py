"""A whole audit of a drawn dataset: its page, its JSON, its lines, and the command."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from agelens.cli import options
from agelens.cli.app import app
from agelens.data.audit.facts import ModelOutputs
from agelens.data.dataset import Dataset
from agelens.data.importer import import_dataset
from agelens.errors import DatasetError, MissingExtra, TrainingError
from agelens.reports.audit import audit
from agelens.training.experiments import out_of_fold
from agelens.training.networks import backbones
from conftest import draw_chip
from labelled import bells
from photos import encoded


def portrait(seed: int) -> np.ndarray:
    """Draw a face to the template before a wall of its own."""
    wall = np.random.default_rng(seed).integers(90, 250, (12, 12, 3)).astype(np.uint8)
    chip = np.asarray(cv2.resize(wall, (200, 200), interpolation=cv2.INTER_CUBIC), np.uint8)
    face = draw_chip(130 + seed)
    inside = face.max(axis=2) > (130 + seed) // 3 + 2
    chip[inside] = face[inside]
    return chip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 faces of 30 to 53, then two copies of the first, one byte for byte, labelled otherwise."""
    folder = tmp_path_factory.mktemp("audit")
    source = folder / "source"
    source.mkdir()
    for seed in range(24):
        name = f"{30 + seed}_{seed % 2}_0_2020010100000{seed:04}.jpg"
        (source / name).write_bytes(encoded(portrait(seed)))
    (source / "58_1_0_20200101000010000.jpg").write_bytes(encoded(portrait(0)))
    (source / "31_0_0_20200101000010001.jpg").write_bytes(encoded(portrait(0), 60))
    (source / "nobody.jpg").write_bytes(encoded(portrait(30)))
    import_dataset(source, folder / "dataset")
    return folder / "dataset"


@pytest.fixture(scope="module")
def answers(data: Path) -> Path:
    """Predictions that agree with the labels, save for one face labelled 45: 80."""
    samples = Dataset(data).samples
    ages = samples["age"].to_numpy().astype(int)
    table = samples.select("file").with_columns(
        pl.Series(
            "age_probabilities", bells(np.where(ages == 45, 80, ages), 3), pl.Array(pl.Float64, 117)
        ),
        pl.when(samples["gender"] == "female").then(0.9).otherwise(0.1).alias("female_probability"),
    )  # fmt: skip
    table.write_parquet(data.parent / "predicted.parquet")
    return data.parent / "predicted.parquet"


def run(data: Path, output: Path, *words: object) -> Any:
    command = ["data", "audit", data, "--output", output, *words]
    return CliRunner().invoke(app, [*map(str, command)], catch_exceptions=False)


def test_a_whole_audit(data: Path, answers: Path, tmp_path: Path) -> None:
    reported: list[str] = []
    audited = audit(
        data, tmp_path / "out", ModelOutputs(answers), command="agelens data audit x",
        before={"asked": 3.0}, report=lambda step, done, total: reported.append(step),
    )  # fmt: skip
    facts = json.loads(audited.json.read_text("utf-8"))
    assert facts["samples"] == 26
    assert list(facts["rejects"]) == ["nobody.jpg"]
    assert facts["faults"] == {}
    identical, every = facts["copies"]["identical"], facts["copies"]["every"]
    assert (identical["groups"], identical["conflicts"]["other_gender"]) == (1, 1)
    assert (every["groups"], every["files"], every["conflicts"]["beyond_5"]) == (1, 3, 2)
    assert len(facts["copies"]["groups"][0]) == 3
    assert (facts["labels"]["age_suspects"], facts["labels"]["gender_suspects"]) == (1, 0)
    assert next(iter(facts["made"]["seconds"])) == "asked"
    assert set(reported) <= set(facts["made"]["seconds"])

    lines = pl.read_csv(audited.table)
    excluded = lines.filter(pl.col("suggestion") == "exclude")
    assert excluded.filter(pl.col("problem") == "copy").height == 2
    age = lines.filter(pl.col("problem") == "age")
    assert age["file"].to_list() == ["45_1_0_20200101000000015.jpg"]
    assert "labelled 45; models that never saw it say 80" in age["evidence"][0]
    assert age["suggestion"].to_list() == ["relabel"]

    page = audited.page.read_text("utf-8")
    assert "Of the 3 pairs" not in page  # small numbers are words
    assert "One photo is there several times byte for byte, as 2 files" in page
    assert "labelled 45, predicted 80 (76 to 84)" in page
    assert "nobody.jpg" in page
    assert "://" not in re.sub(r"http://www\.w3\.org/\S+", "", page)  # needs no network


def test_without_predictions_the_page_gives_the_reason(data: Path, tmp_path: Path) -> None:
    audited = audit(data, tmp_path / "out", ModelOutputs(missing="no torch: install it"))
    assert audited.facts.labels is None
    page = audited.page.read_text("utf-8")
    assert "Labels were not judged: no torch: install it" in page
    assert "comparing faces finds them too" in page
    assert "Painted and drawn faces were not looked for" in page
    assert "looks painted" not in json.loads(audited.json.read_text("utf-8"))["faces"]


def test_the_command_without_torch_names_what_to_install(
    data: Path, tmp_path: Path, monkeypatch
) -> None:
    def lacking() -> None:
        raise MissingExtra("torch", "train")

    monkeypatch.setattr(options, "need_train", lacking)
    done = run(data, tmp_path)
    assert done.exit_code == 0
    assert "pip install 'agelens[train]'" in " ".join(done.stderr.split())
    assert "check the files:" in done.stderr
    assert "! One photo is there several times" in done.stdout
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["actions.csv", "audit.html", "audit.json"]


def test_given_predictions_are_used_without_models(
    data: Path, answers: Path, tmp_path: Path
) -> None:
    assert run(data, tmp_path, "--no-models", "--out-of-fold", answers).exit_code == 0
    assert json.loads((tmp_path / "audit.json").read_text())["labels"]["age_suspects"] == 1


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a dataset folder"):
        audit(tmp_path, tmp_path / "out", ModelOutputs())
    assert not (tmp_path / "out").exists()


def test_predictions_are_made_once_and_cached(data: Path, monkeypatch) -> None:
    made: list[tuple[str, ...]] = []
    asked: list[str] = []

    def answer(dataset, progress, backbones):
        made.append(backbones)
        return dataset.samples.select("file"), {
            "data": dataset.fingerprint, "split": None, "seconds": {"features": 1.0, "heads": 2.0},
        }  # fmt: skip

    def locate(name: str) -> Path:
        if name == "dlib":
            raise TrainingError("no dlib here")
        return Path(name)

    def extract(dataset, backbone, progress):
        asked.append(backbone)
        return np.ones((len(dataset), 2, 1024), np.float16)

    monkeypatch.setattr(out_of_fold, "predict_out_of_fold", answer)
    monkeypatch.setattr(backbones, "locate", locate)
    monkeypatch.setattr(out_of_fold, "backbone_features", extract)
    models, seconds = out_of_fold.audit_inputs(data, None, None)
    assert models.out_of_fold == data / "out-of-fold.parquet"
    assert (models.missing, models.descriptors) == ("", None)
    looked = "look for painted faces (faceres-deep)"
    assert asked == ["faceres-deep"]
    assert np.shape(models.looks_painted) == (26,)
    assert seconds.pop(looked) >= 0
    assert seconds == {"features of the faces": 1.0, "train heads for each fold": 2.0}
    again, seconds = out_of_fold.audit_inputs(data, None, None)
    assert again.out_of_fold == models.out_of_fold
    assert list(seconds) == [looked]
    assert made == [("faceres-deep",)]
    about = json.loads((data / "out-of-fold.json").read_text("utf-8"))
    for other in ({"data": "of other pictures"}, {"split": 0}):
        (data / "out-of-fold.json").write_text(json.dumps(about | other), "utf-8")
        out_of_fold.audit_inputs(data, None, None)
    assert len(made) == 3
    for kind in ("json", "parquet"):
        (data / f"out-of-fold.{kind}").unlink()


def test_a_missing_backbone_is_given_as_the_reason(data: Path, monkeypatch) -> None:
    def locate(name: str) -> Path:
        raise TrainingError(f"no {name}: get it with  agelens backbones get {name}")

    monkeypatch.setattr(backbones, "locate", locate)
    models, _ = out_of_fold.audit_inputs(data, None, None)
    assert models.out_of_fold is None
    assert "agelens backbones get faceres-deep" in models.missing
