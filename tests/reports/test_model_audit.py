import hashlib
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import agelens
from agelens.data import chips
from agelens.data.dataset import SCHEMA, Dataset
from agelens.errors import DatasetError
from agelens.evaluation import bootstrap, groups, metrics
from agelens.evaluation.calibration import fit_levels
from agelens.inference.runtime import Model
from agelens.reports import charts, model_audit
from agelens.reports.comparison import report as reports
from agelens.reports.comparison.photos import Photos
from agelens.reports.model_audit import audit
from commands import invoke
from labelled import bells
from reported import DRAWING, bent_model, chip, drawn_once, not_drawn, numbers_are_in

FACES = 320


def write_calibrated(folder: Path, model: Path, count: int, sure: float = 1.0) -> Path:
    """Draw labels from what the model says; `sure` under 1 moves genders nearer to a half."""
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(11)
    paths = [folder / "images" / f"{number:04}.png" for number in range(count)]
    for number, path in enumerate(paths):
        pixels = chip(int(random.integers(36, 66)), number % 2 == 1, random)[::8, ::8]
        Image.fromarray(pixels).save(path)
    said = Model(model, 1).run(np.stack([chips.read(path) for path in paths]))
    share = 0.5 + sure * (said.female_probability - 0.5)
    rows = []
    for number, path in enumerate(paths):
        p = said.age_probabilities[number].astype(np.float64)
        label = int(random.choice(117, p=p / p.sum()))
        gender = "female" if random.random() < share[number] else "male"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append((path.name, label, gender, None, 25, 25, digest, number % 10))
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "samples.parquet")
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick_audits() -> Iterator[None]:
    """Draw one chart of lines and no other, leave picture quality out, and resample less."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Photos, "group_by_quality", lambda *_: ({}, []))
        patch.setattr(bootstrap, "resample", partial(bootstrap.resample, resamples=500))
        patch.setattr(groups, "PERMUTATIONS", 100)
        for name in set(DRAWING) - {"lines"}:
            patch.setattr(charts, name, not_drawn)
        patch.setattr(charts, "lines", drawn_once(charts.lines))
        yield


@pytest.fixture(scope="module")
def data(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_calibrated(tmp_path_factory.mktemp("audited") / "mine", tiny_model, FACES)


@pytest.fixture(scope="module")
def narrow(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bent_model(tiny_model, tmp_path_factory.mktemp("models") / "narrow.onnx", sigma=2.0)


@pytest.fixture(scope="module")
def calibrated(make_model: Callable[..., Path]) -> Path:
    random = np.random.default_rng(21)
    spread = bells(random.uniform(36, 66, 4000))
    ages = np.array([random.choice(117, p=p) for p in spread])
    return make_model({"name": "calibrated", "interval": fit_levels(spread, ages).table()})


def run(
    data: Path, folder: Path, model: Path, recalibrate: bool = False
) -> tuple[dict[str, Any], reports.Made, Path | None]:
    """Audit a model; give the figures behind the verdicts, the page and the new file."""
    made, recalibrated = audit(
        data, folder, str(model), lambda *_: None, recalibrate=recalibrate, threads=1
    )
    return made.tree["audit"], made, recalibrated


@pytest.fixture(scope="module")
def command(data: Path, narrow: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of `agelens audit-model --recalibrate`, and the audit behind it."""
    audits: list[Any] = []
    folder = tmp_path_factory.mktemp("audit")
    words = ["audit-model", narrow, "--data", data, "--recalibrate", "--output", "out"]
    keep = lambda *words, **named: audits.append(audit(*words, **named)) or audits[-1]  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(model_audit, "audit", keep)
        result = invoke(*words, "--threads", 1)
    assert result.exit_code == 0, result.output
    return SimpleNamespace(output=result.stdout, folder=folder / "out", made=audits[0][0])


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "save", lambda *_: None)


def findings(made: reports.Made) -> str:
    return "\n".join(finding.text for finding in made.opening)


def test_narrow_intervals_are_found_and_recalibrated(command: SimpleNamespace) -> None:
    found, said = command.made.tree["audit"], findings(command.made)
    intervals = found["intervals"]
    assert intervals["verdict"] == "narrow" and intervals["coverage"]["high"] < 0.8
    assert {row["verdict"] for row in found["by_age"] if row["faces"] > 60} == {"narrow"}
    assert "The 90% intervals of narrow do not hold here, they are too narrow" in said
    new = found["recalibration"]
    assert "intervals" in new["parts"]
    assert new["levels"]["low"] < 0.005  # from bells half as wide as they should be
    coverage = new["figures"]["interval_coverage"]
    assert coverage["before"]["high"] < 0.85
    assert coverage["after"]["value"] == pytest.approx(0.9, abs=0.04)  # 320 faces: 1.7 points
    assert coverage["difference"]["low"] > 0.05
    assert new["figures"]["age_mae"]["difference"]["value"] < 0.05
    assert "intervals: coverage" in said and "--model out/recalibrated.onnx" in said


def test_kept_file_covers_what_the_figures_promise(command: SimpleNamespace, data: Path) -> None:
    dataset, new = Dataset(data), command.made.tree["audit"]["recalibration"]
    assert (new["faces"], new["folds"]) == (FACES, 10)
    predictor = agelens.load(command.folder / "recalibrated.onnx", threads=1)
    paths = [dataset.image_path(row) for row in range(60)]
    said = [predictor.predict(path, chips=True)[0] for path in paths]
    ages = dataset.samples["age"].to_numpy()[:60]
    inside = metrics.interval_coverage(*np.array([one.age_interval for one in said]).T, ages)
    assert 0.8 < inside < 1
    card = predictor.card["adapted"]
    assert (card["on"], card["faces"], card["parts"]) == ("mine", FACES, new["parts"])
    assert card["fingerprint"] == dataset.fingerprint
    coverage = new["figures"]["interval_coverage"]
    for when in ("before", "after"):
        assert card["figures"]["interval_coverage"][when] == coverage[when]["value"]


def test_page_and_json_hold_the_same_numbers(command: SimpleNamespace) -> None:
    folder = command.folder
    files = ["charts", "evaluation", "recalibrated.onnx", "report.html", "report.json", "report.md"]
    assert sorted(path.name for path in folder.iterdir()) == files
    tree = json.loads((folder / "report.json").read_text("utf-8"))
    read = (folder / "report.html").read_text("utf-8")
    assert numbers_are_in(tree, read) > 300
    assert tree["audit"] == command.made.tree["audit"]
    titles = re.findall("<h2>(.*?)</h2>", read)
    assert titles[:3] == ["Verdict", "Recalibrated", "In short"] and "All figures" in titles
    assert "narrow on mine: do its intervals and probabilities hold?" in read
    assert '<li class="strange">' in read and str(folder) not in read
    about = json.loads((folder / "evaluation" / "evaluation.json").read_text("utf-8"))
    assert (about["data"]["part"], about["data"]["split"], about["faces"]) == ("all", None, FACES)


def test_calibrated_model_holds_and_is_not_changed(
    data: Path, calibrated: Path, tmp_path: Path, no_page: None
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recalibrated.onnx").write_bytes(b"of an earlier audit")
    found, made, recalibrated = run(data, tmp_path / "out", calibrated, recalibrate=True)
    verdicts = [found[key]["verdict"] for key in ("intervals", "gender", "bias")]
    assert verdicts == ["holds", "holds", "none"]
    assert not {"narrow", "wide"} & {row["verdict"] for row in found["by_age"]}
    excess = found["gender"]["gender_log_loss"]["excess"]
    assert excess["low"] < 0 < excess["high"]
    assert recalibrated is None
    assert not list((tmp_path / "out").glob("recalibrated*"))
    for words in ("the model gains in nothing beyond chance", "It was not kept.",
                  "What to do: nothing; use the model as it is."):  # fmt: skip
        assert words in findings(made)
    assert [finding.strange for finding in made.opening] == [False] * 6


def test_overconfident_gender_is_found_and_recalibrated(
    tiny_model: Path, calibrated: Path, tmp_path: Path, no_page: None
) -> None:
    data = write_calibrated(tmp_path / "unsure", tiny_model, FACES, sure=0.6)
    found, made, _ = run(data, tmp_path / "out", calibrated, recalibrate=True)
    gender = found["gender"]
    assert gender["verdict"] == "sure"
    assert gender["ece"]["value"] > 2 * gender["ece_if_honest"]["chance"]
    assert gender["gender_log_loss"]["excess"]["low"] > 0
    new = found["recalibration"]
    assert new["parts"] == ["gender"]
    error = new["figures"]["gender_ece"]
    assert error["after"]["value"] < 0.06 and error["before"]["value"] > 0.1
    assert "they are too sure: said with" in findings(made)


def test_too_few_faces_get_no_verdict_or_recalibration(tiny_model: Path, tmp_path: Path) -> None:
    data = write_calibrated(tmp_path / "few", tiny_model, 60)
    fewer = write_calibrated(tmp_path / "fewer", tiny_model, 29)
    with pytest.raises(DatasetError, match=r"29 faces are too few to recalibrate on: .* 30;"):
        run(fewer, tmp_path / "out", tiny_model, recalibrate=True)
    assert not (tmp_path / "out").exists()
    found, made, _ = run(data, tmp_path / "out", tiny_model)
    assert {found[key]["verdict"] for key in ("intervals", "gender", "bias")} == {"few"}
    advice = "What to do: label more faces; 385 tell the coverage to within 3 points."
    for words in ("cannot be told from 60 faces", "Only 60 faces", advice):
        assert words in findings(made)
    html, tree = ((tmp_path / f"out/report.{kind}").read_text("utf-8") for kind in ("html", "json"))
    assert numbers_are_in(json.loads(tree), html)


def test_command_prints_verdicts_and_files(command: SimpleNamespace, data: Path) -> None:
    assert command.output.startswith("! The 90% intervals of narrow do not hold here")
    assert "320 faces of 320 people, each by what was fitted on others" in command.output
    assert "ages move by 0." in command.output
    assert command.output.splitlines()[-2:] == ["out/report.html", "out/recalibrated.onnx"]
    picture, model = data / "images" / "0001.png", command.folder / "recalibrated.onnx"
    result = invoke("predict", picture, "--chips", "--format", "json", "--model", model)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["faces"][0]["gender"] == "female"


def test_what_cannot_be_audited_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "photos").mkdir()
    for folder, message in (
        ("photos", r"Import it first: agelens data import .* data align"),
        ("nowhere", "is not a dataset folder"),
    ):
        with pytest.raises(DatasetError, match=message):
            run(tmp_path / folder, tmp_path / "out", tiny_model)
    assert not (tmp_path / "out").exists()
    data = write_calibrated(tmp_path / "mine", tiny_model, 4)
    table = pl.read_parquet(data / "samples.parquet")
    table.with_columns(gender=pl.lit(None, pl.String)).write_parquet(data / "samples.parquet")
    with pytest.raises(DatasetError, match=r"4 of 4 samples in .* carry no gender"):
        run(data, tmp_path / "out", tiny_model)
