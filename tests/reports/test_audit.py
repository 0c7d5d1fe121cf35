import json
import re
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import polars as pl
import pytest

from agelens.cli import options
from agelens.data.audit.facts import ModelOutputs
from agelens.data.dataset import Dataset
from agelens.data.importer import import_dataset
from agelens.errors import DatasetError, MissingExtra, TrainingError
from agelens.reports.audit import audit
from agelens.training.experiments import out_of_fold
from agelens.training.networks import backbones
from commands import invoke
from conftest import draw_chip
from labelled import bells, write_folder
from photos import encoded


def portrait(seed: int) -> np.ndarray:
    wall = np.random.default_rng(seed).integers(90, 250, (12, 12, 3)).astype(np.uint8)
    chip = np.asarray(cv2.resize(wall, (200, 200), interpolation=cv2.INTER_CUBIC), np.uint8)
    face = draw_chip(130 + seed)
    inside = face.max(axis=2, keepdims=True) > (130 + seed) // 3 + 2
    return np.where(inside, face, chip)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 faces of 30 to 53, then two copies of the first, one byte for byte, labelled otherwise."""
    folder = tmp_path_factory.mktemp("audit")
    files = {
        f"{30 + seed}_{seed % 2}_0_2020010100000{seed:04}.jpg": encoded(portrait(seed))
        for seed in range(24)
    }
    files["58_1_0_20200101000010000.jpg"] = encoded(portrait(0))
    files["31_0_0_20200101000010001.jpg"] = encoded(portrait(0), 60)
    files["nobody.jpg"] = encoded(portrait(30))
    return import_dataset(write_folder(folder / "source", files), folder / "dataset").dataset.folder


@pytest.fixture(scope="module")
def answers(data: Path) -> Path:
    """Predictions that agree with the labels, save for one face labelled 45: 80."""
    samples, file = Dataset(data).samples, data.parent / "predicted.parquet"
    ages = samples["age"].to_numpy().astype(int)
    said = bells(np.where(ages == 45, 80, ages), 3)
    samples.select(
        "file", pl.Series("age_probabilities", said, pl.Array(pl.Float64, 117)),
        female_probability=pl.when(gender="female").then(0.9).otherwise(0.1),
    ).write_parquet(file)  # fmt: skip
    return file


def test_a_whole_audit(data: Path, answers: Path, tmp_path: Path) -> None:
    reported: list[str] = []
    audited = audit(
        data, tmp_path / "out", ModelOutputs(answers), command="agelens data audit x",
        before={"asked": 3.0}, report=lambda step, done, total: reported.append(step),
    )  # fmt: skip
    facts = json.loads(audited.json.read_text("utf-8"))
    assert (facts["samples"], list(facts["rejects"]), facts["faults"]) == (26, ["nobody.jpg"], {})
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
    (age,) = lines.filter(pl.col("problem") == "age").to_dicts()
    assert (age["file"], age["suggestion"]) == ("45_1_0_20200101000000015.jpg", "relabel")
    assert "labelled 45; models that never saw it say 80" in age["evidence"]
    page = audited.page.read_text("utf-8")
    assert "Of the 3 pairs" not in page  # small numbers are words
    for words in ("One photo is there several times byte for byte, as 2 files",
                  "labelled 45, predicted 80 (76 to 84)", "nobody.jpg"):  # fmt: skip
        assert words in page
    assert "://" not in re.sub(r"http://www\.w3\.org/\S+", "", page)  # needs no network


def test_without_predictions_the_page_gives_the_reason(data: Path, tmp_path: Path) -> None:
    audited = audit(data, tmp_path / "out", ModelOutputs(missing="no torch: install it"))
    assert audited.facts.labels is None
    page = audited.page.read_text("utf-8")
    for words in ("Labels were not judged: no torch: install it", "comparing faces finds them too",
                  "Painted and drawn faces were not looked for"):  # fmt: skip
        assert words in page
    assert "looks painted" not in json.loads(audited.json.read_text("utf-8"))["faces"]


def test_without_torch_it_says_what_to_install(data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(options, "need_train", Mock(side_effect=MissingExtra("torch", "train")))
    done = invoke("data", "audit", data, "--output", tmp_path)
    assert done.exit_code == 0
    words = " ".join(done.stderr.split())
    assert "pip install 'agelens[train]'" in words and "check the files:" in words
    assert "! One photo is there several times" in done.stdout
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["actions.csv", "audit.html", "audit.json"]


def test_given_predictions_need_no_models(data: Path, answers: Path, tmp_path: Path) -> None:
    words = ("data", "audit", data, "--output", tmp_path)
    assert invoke(*words, "--no-models", "--out-of-fold", answers).exit_code == 0
    assert json.loads((tmp_path / "audit.json").read_text())["labels"]["age_suspects"] == 1


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a dataset folder"):
        audit(tmp_path, tmp_path / "out", ModelOutputs())
    assert not (tmp_path / "out").exists()


def test_predictions_are_made_once_and_cached(data: Path, monkeypatch) -> None:
    def locate(name: str) -> Path:
        if name == "dlib":
            raise TrainingError("no dlib here")
        return Path(name)

    dataset = Dataset(data)
    facts = {"data": dataset.fingerprint, "split": None, "seconds": {"features": 1.0, "heads": 2.0}}
    answer = Mock(side_effect=lambda *_: (dataset.samples.select("file"), facts))
    extract = Mock(return_value=np.ones((len(dataset), 2, 1024), np.float16))
    monkeypatch.setattr(out_of_fold, "predict_out_of_fold", answer)
    monkeypatch.setattr(backbones, "locate", locate)
    monkeypatch.setattr(out_of_fold, "backbone_features", extract)
    models, seconds = out_of_fold.audit_inputs(data, None, None)
    assert models.out_of_fold == data / "out-of-fold.parquet"
    assert (models.missing, models.descriptors) == ("", None)
    looked = "look for painted faces (faceres-deep)"
    assert [call.args[1] for call in extract.call_args_list] == ["faceres-deep"]
    assert np.shape(models.looks_painted) == (26,)
    assert seconds.pop(looked) >= 0
    assert seconds == {"features of the faces": 1.0, "train heads for each fold": 2.0}
    again, seconds = out_of_fold.audit_inputs(data, None, None)
    assert again.out_of_fold == models.out_of_fold
    assert list(seconds) == [looked]
    assert [call.args[2] for call in answer.call_args_list] == [("faceres-deep",)]
    about = json.loads((data / "out-of-fold.json").read_text("utf-8"))
    for other in ({"data": "of other pictures"}, {"split": 0}):
        (data / "out-of-fold.json").write_text(json.dumps(about | other), "utf-8")
        out_of_fold.audit_inputs(data, None, None)
    assert answer.call_count == 3
    for kind in ("json", "parquet"):
        (data / f"out-of-fold.{kind}").unlink()


def test_a_missing_backbone_is_given_as_the_reason(data: Path, monkeypatch) -> None:
    missing = "no faceres-deep: get it with  agelens backbones get faceres-deep"
    monkeypatch.setattr(backbones, "locate", Mock(side_effect=TrainingError(missing)))
    models, _ = out_of_fold.audit_inputs(data, None, None)
    assert models.out_of_fold is None and missing in models.missing
