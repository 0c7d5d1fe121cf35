import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data import quality
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError, MissingExtra, ModelError, SourceError
from agelens.evaluation.evaluation_folder import load_all
from agelens.reports import charts
from agelens.reports.comparison.report import Made, Plan, make, write
from agelens.reports.findings import Finding
from agelens.reports.numbers import read
from conftest import build_tiny_model
from reported import (
    DRAWING,
    bent_model,
    drawn_once,
    evaluate,
    not_drawn,
    numbers_are_in,
    texts,
    write_faces,
)  # fmt: skip

HISTORY = (
    "epoch,train_loss,validation_loss,validation_mae,validation_cs5,validation_gender_accuracy,"
    "train_seconds\n"
    "1,6.5,5.0,6.0,0.55,0.88,100\n2,5.5,4.8,5.5,0.60,0.90,100\n3,5.0,4.9,5.6,0.59,0.91,160\n"
)
RUN = {"parameters": 3_300_000, "config": {"schedule": {"epochs": 4}}}


@dataclass
class World:
    data: Path
    good: Path  # evaluations
    old: Path
    blind: Path
    other_faces: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    data = write_faces(root / "faces")
    run = root / "runs" / "good"
    run.mkdir(parents=True)
    card = {"name": "good", "backbone": "scratch", "data": {"name": "drawn", "split": 0}}
    model = build_tiny_model(run / "model.onnx", card)
    (run / "history.csv").write_text(HISTORY)
    (run / "run.json").write_text(json.dumps(RUN))
    old = bent_model(model, root / "old.onnx", scale=1.1)
    return World(
        data,
        evaluate(model, data, run / "evaluation", "good"),
        evaluate(old, data, root / "old", "old"),
        evaluate(bent_model(model, root / "blind.onnx", scale=0.8), data, root / "blind", "blind"),
        evaluate(model, write_faces(root / "few", 30), root / "few-evaluation", "other"),
    )


def drawn_quality(dataset: Dataset, *_: Any) -> pl.DataFrame:
    """Stand in for the quality of the pictures, for which faces are detected."""
    rows = pl.int_range(len(dataset), eager=True).cast(pl.Float32)
    return pl.DataFrame({
        "file": dataset.samples["file"], "brightness": rows, "contrast": -rows,
        "sharpness": rows % 7, "yaw": rows * 0, "grey": rows < 30,
    })  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quick_pages() -> Iterator[None]:
    """Leave the charts undrawn and the pictures' quality unmeasured: both take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "measure", drawn_quality)
        for name in DRAWING:
            patch.setattr(charts, name, not_drawn)
        yield


@dataclass
class Whole:
    """A report with everything: three models, pictures, saliency of two."""

    folder: Path
    opening: list[Finding]
    html: str
    tree: dict[str, Any]  # report.json


@pytest.fixture(scope="module")
def whole(world: World, quick_pages: None, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("report")
    words = [str(world.good), str(world.old), f"a blind one={world.blind}"]
    plan = Plan(words, folder, world.data, [str(world.old.parent / "old.onnx")], 2, 1)
    made = write(plan, lambda *_: None, "agelens report")
    html = (folder / "report.html").read_text("utf-8")
    return Whole(
        folder, made.opening, html, json.loads((folder / "report.json").read_text("utf-8"))
    )


def report_on(*evaluations: object, **more: Any) -> tuple[Made, str]:
    """Make a report without writing it; give it and its sentences."""
    made = make(Plan([str(one) for one in evaluations], Path(), **more), lambda *_: None)
    return made, texts(made.html())


def chapter(html: str, title: str) -> str:
    return "\n".join(one.text for one in read(html) if one.section == title)


def test_every_number_of_the_text_is_in_the_json(whole: Whole) -> None:
    assert numbers_are_in(whole.tree, whole.html) > 500


def test_all_files_say_the_same(whole: Whole) -> None:
    marked = (whole.folder / "report.md").read_text("utf-8").replace("\\", "")
    said = whole.tree["text"]
    assert {finding.text for finding in whole.opening} <= {one["text"] for one in said}
    assert any(one["numbers"] for one in said)
    pictured = ("Largest errors", "Saliency")  # lines below pictures are left out as well
    assert all(one["text"] in marked for one in said if one["section"] not in pictured)
    drawn = re.findall(r"!\[.*?\]\((charts/.*?)\)", marked)
    assert len(drawn) == len(set(drawn)) > 20
    assert all((whole.folder / chart).read_text("utf-8").startswith("<svg ") for chart in drawn)
    assert "data:image" in whole.html
    assert "data:image" not in marked  # faces stay in the page


def test_chapters(whole: Whole, world: World) -> None:
    titles = [
        "Strengths, weaknesses and what to improve", "Comparison", "Age", "Gender and age groups",
        "Uncertainty and calibration", "Groups", "Training", "Largest errors", "Saliency",
        "What was measured", "All figures", "Method and limits",
    ]  # fmt: skip
    assert re.findall("<h2>(.*?)</h2>", whole.html) == titles
    made, said = report_on(world.good)
    titles.remove("Comparison")
    assert re.findall("<h2>(.*?)</h2>", made.html()) == titles
    assert "give the data set with --data, and they are shown here" in said
    assert "Saliency is left out: it needs the pictures" in said


def test_the_page_opens_with_few_figures_and_five_findings(whole: Whole) -> None:
    assert len(whole.opening) == 5
    said = "\n".join(finding.text for finding in whole.opening)
    assert said.startswith("Only 100 faces were measured: ")
    assert "\ngood is off by " in said
    assert re.search(r"good's age error is lower than old's by [23]\.\d+ years", said)
    places = set(re.findall(r'\bid="(.*?)"', whole.html))
    assert set(re.findall(r'href="#(.*?)"', whole.html)) <= places  # "see why" leads somewhere
    figures = whole.html.partition('class="figures models"')[2].partition("</table>")[0]
    assert figures.count("<tr>") == 1 + 6
    everything = texts(whole.html)
    # all three read the gender alike
    assert "no different from old's beyond chance (0.00 points" in everything
    assert "of 1 pair of byte-identical pictures" in everything


def test_verdicts_name_what_was_planted(whole: Whole) -> None:
    section = chapter(whole.html, "Strengths, weaknesses and what to improve")
    parts = re.split(r"^(good|old|a blind one)$", section, flags=re.M)
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert "The lowest age error" in said["good"]
    assert "The highest age error" in said["a blind one"]
    assert re.search(r"Ages 61\+ are predicted too old, by \d", said["old"])
    assert re.search(r"Ages 61\+ are predicted too young, by 1\d", said["a blind one"])
    assert "The 90% intervals are too narrow for" in said["a blind one"]
    assert "More epochs of the same will not help" in said["good"]
    # a model that is too young and one that is too old complement each other
    assert re.search(r"Combine it with (old|good)", said["a blind one"])
    assert not any("nan" in text.lower() for text in said.values())


def test_a_claim_never_has_an_interval_with_zero_in_it(whole: Whole) -> None:
    checked = 0
    for pair in whole.tree["comparison"]["pairs"]:
        rows = [pair["figures"], *(row["figures"] for row in pair["by_group"])]
        for figures in rows:
            for name, figure in figures.items():
                if figure.get("better"):
                    assert figure["low"] > 0 or figure["high"] < 0
                    less = name in ("age_mae", "gender_log_loss", "loss")
                    ahead = "second" if (figure["value"] < 0) == less else "first"
                    assert figure["better"] == pair[ahead]
                    checked += 1
    assert checked > 20


def test_identical_models_do_not_differ(world: World) -> None:
    made, said = report_on(f"a={world.good}", f"b={world.good}")
    pair = made.tree["comparison"]["pairs"][0]
    assert all(figure["better"] is None for figure in pair["figures"].values())
    assert pair["figures"]["age_mae"] == {"value": 0, "low": 0, "high": 0, "better": None}
    assert pair["together"]["error_correlation"] == pytest.approx(1)
    assert "There is no group for which a is better by more than chance." in said
    assert "would not beat the better of the two" in said
    assert not re.search(r"\b(a|b) has the (lower|higher)", said)


def test_intervals_are_those_of_the_evaluation(world: World) -> None:
    made, _ = report_on(world.good)
    everyone = made.tree["models"]["good"]["reliability"]["doubt"]["surest"][-1]["age_mae"]
    about = json.loads((world.good / "evaluation.json").read_text("utf-8"))
    assert everyone == pytest.approx(about["subsets"]["all"]["figures"]["age_mae"], rel=1e-5)


def test_training_curves_and_where_they_stood(whole: Whole) -> None:
    record = whole.tree["models"]["good"]["training"]
    assert (record["best_epoch"], record["done_epochs"], record["planned_epochs"]) == (2, 3, 4)
    assert record["hours"] == pytest.approx(0.1)
    assert whole.tree["models"]["old"]["training"] is None
    said = chapter(whole.html, "Training")
    assert "lowest validation age MAE of good, 5.50 years, came after epoch 2 of 3" in said
    assert "No training history lies beside the evaluation of old and a blind one." in said
    assert "on the training faces was not recorded epoch by epoch for good;" in said


def test_accuracy_on_training_faces_is_drawn_where_it_was_recorded(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(world.good.parent, tmp_path / "run")
    rows = [line.split(",") for line in HISTORY.splitlines()]
    rows[0] += ["train_mae", "train_cs5", "train_gender_accuracy"]
    rows[1] += ["", "", ""]  # an epoch of an older version
    rows[2] += ["7.5", "0.4", "0.8"]
    rows[3] += ["7.0", "0.45", "0.82"]
    (run / "history.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    drawn = {}
    draw = charts.lines

    def lines(series: dict[str, Any], axes: Any, **settings: Any) -> str:
        drawn.update({(axes.y, name): line for name, line in series.items()})
        return draw(series, axes, **settings)

    monkeypatch.setattr(charts, "lines", lines)
    _, said = report_on(run / "evaluation")
    learnt = drawn["age MAE, years", "good, training"]
    assert np.array_equal(learnt.y, [np.nan, 7.5, 7.0], equal_nan=True)
    assert list(drawn["gender accuracy", "good, validation"].y) == [0.88, 0.9, 0.91]
    assert "on augmented faces, with dropout" in said
    assert "was not recorded epoch by epoch" not in said
    assert "Age error on validation faces after each epoch, on training faces during it" in said


def test_figures_on_the_training_faces(world: World, tmp_path: Path) -> None:
    run = shutil.copytree(world.good.parent, tmp_path / "run")
    learnt = shutil.copytree(run / "evaluation", run / "evaluation-train")
    about = json.loads((learnt / "evaluation.json").read_text("utf-8"))
    about["data"]["part"], about["faces"] = "train", 1000
    about["subsets"]["all"]["figures"]["age_mae"] = {"value": 1.5, "low": 1.4, "high": 1.6}
    (learnt / "evaluation.json").write_text(json.dumps(about))
    _, said = report_on(run / "evaluation")
    assert "On the 1,000 faces that it was trained on, good is off by 1.50 (1.40 to 1.60)" in said
    assert "It knows its training faces better (off by 1.50 years) than new ones" in said
    about["flip"] = True  # made in another way: not to be held against this one
    (learnt / "evaluation.json").write_text(json.dumps(about))
    assert "faces that it was trained on" not in report_on(run / "evaluation")[1]


def test_an_ensemble_is_compared_with_its_best_member(
    world: World, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    card = {"name": "both", "members": [{"name": "old"}, {"name": "blind"}], "how": "average"}
    both = evaluate(make_model(card), world.data, tmp_path / "both", "both")
    run = {
        "ways": [
            {"members": ["old"], "how": "average", "validation_mae": 5.0},
            {"members": ["old", "blind"], "how": "average", "validation_mae": 4.0},
        ]
    }
    (tmp_path / "run.json").write_text(json.dumps(run))
    made, said = report_on(f"both={both}", f"old={world.old}", f"blind={world.blind}")
    findings = "\n".join(finding.text for finding in made.opening)
    assert "both beats its best member, old: its age error is lower by" in findings
    assert "both: what each member brings, on validation faces" in said
    assert "\nold + blind\naverage\n4.000\n" in said


def test_a_split_that_was_trained_on_is_marked(
    world: World, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model({"name": "tiny", "data": {"split": 3}})
    folder = evaluate(model, world.data, tmp_path / "e", "tiny")
    first = report_on(folder)[0].opening[0]
    assert first.kind == "strange"
    assert "has seen some of these faces in training (split 3, measured on split 0)" in first.text


def test_faces_that_were_not_found(tiny_model: Path, tmp_path: Path) -> None:
    data = write_faces(tmp_path / "few", 10)
    folder = evaluate(tiny_model, data, tmp_path / "e", "tiny", pipeline=True)
    made, _ = report_on(folder, data=data)
    assert made.tree["models"]["tiny"]["missed"]["faces"] == 10  # drawn chips are no faces
    few, none, *_ = made.opening
    assert few.kind == "strange"
    assert "Only 10 faces" in few.text
    assert "The models answered too few faces" in none.text


def test_files_are_written_by_the_command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, draw in DRAWING.items():  # forests may meet figures that are not defined
        monkeypatch.setattr(charts, name, draw if name == "forest" else drawn_once(draw))
    words = ["report", str(world.good), "--output", str(tmp_path / "out" / "r")]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "out" / "r" / "report.html")
    written = sorted(path.name for path in (tmp_path / "out" / "r").iterdir())
    assert written == ["charts", "report.html", "report.json", "report.md"]
    assert "src=" not in (tmp_path / "out" / "r" / "report.html").read_text("utf-8")


def test_evaluations_of_other_faces_cannot_be_compared(world: World) -> None:
    message = r"'good' and 'other'.*\(100 faces of the test folds of split 0.*; 30 faces"
    with pytest.raises(DatasetError, match=message):
        load_all([str(world.good), str(world.other_faces)])


def test_other_labels_are_other_faces(world: World, tmp_path: Path) -> None:
    other = shutil.copytree(world.old, tmp_path / "old")
    table = pl.read_parquet(other / "predictions.parquet")
    moved = table.with_columns(pl.col("gender").reverse())
    moved.write_parquet(other / "predictions.parquet")
    with pytest.raises(DatasetError, match="different faces"):
        load_all([str(world.good), str(other)])


def test_a_name_twice_asks_for_names(world: World) -> None:
    with pytest.raises(SourceError, match=r"two evaluations are named 'good'.*good-2="):
        load_all([str(world.good), str(world.good)])
    assert [one.name for one in load_all([str(world.good), f"b={world.good}"])] == ["good", "b"]


def damaged(world: World, folder: Path, how: str) -> Path:
    if how == "none":
        return folder / "nowhere"
    copy = shutil.copytree(world.good, folder / how)
    predictions, figures = copy / "predictions.parquet", copy / "evaluation.json"
    if how == "no-figures":
        figures.unlink()
    elif how == "run-folder":
        return world.good.parent
    elif how == "no-predictions":
        predictions.unlink()
    elif how == "cut":
        predictions.write_bytes(predictions.read_bytes()[:-60])
    elif how == "columns":
        pl.read_parquet(predictions).drop("age_low").write_parquet(predictions)
    elif how == "rows":
        pl.read_parquet(predictions).head(9).write_parquet(predictions)
    elif how == "mixed":
        shutil.copy(world.old / "predictions.parquet", predictions)
    elif how == "json":
        figures.write_text('{"format": 1')
    elif how == "format":
        figures.write_text(figures.read_text().replace('"format": 1', '"format": 99', 1))
    return copy


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("none", SourceError, "is no evaluation: it has no evaluation.json; make one with"),
        ("no-figures", SourceError, "is no evaluation"),
        ("run-folder", SourceError, "it holds the evaluations evaluation: give one of them"),
        ("no-predictions", SourceError, "has no predictions.parquet: evaluate again"),
        ("cut", DatasetError, "cannot read .*predictions.parquet'"),
        ("columns", DatasetError, "lacks the columns age_low"),
        ("rows", DatasetError, "predictions of 9 faces and figures of 100"),
        ("mixed", DatasetError, "its files do not belong together"),
        ("json", DatasetError, "cannot read .*evaluation.json'"),
        ("format", DatasetError, "has format 99, expected 1"),
    ],
)
def test_damaged_evaluations_are_named(
    world: World, tmp_path: Path, how: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        load_all([str(damaged(world, tmp_path, how))])


def test_wrong_data_models_and_options(world: World, tmp_path: Path, tiny_model: Path) -> None:
    other = write_faces(tmp_path / "other", 40)
    with pytest.raises(DatasetError, match="is not the dataset of the evaluations"):
        make(Plan([str(world.good)], Path(), other), lambda *_: None)
    with pytest.raises(ModelError, match="is none of the models that were evaluated"):
        make(Plan([str(world.old)], Path(), models=[str(tiny_model)]), lambda *_: None)
    with pytest.raises(SourceError, match="has no name before the sign"):
        load_all([f"={world.old}"])
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="expected a folder"):
        write(Plan([str(world.good)], tmp_path / "file"), lambda *_: None)
    words = ["report", str(world.good), "-o", str(tmp_path), "--saliency-faces", "1"]
    assert CliRunner().invoke(app, words).exit_code == 2
    assert CliRunner().invoke(app, ["report", str(world.good)]).exit_code == 2


def test_without_jinja2_it_says_what_to_install(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr("agelens.cli.options.find_spec", lambda name: name != "jinja2" or None)
    result: Any = CliRunner().invoke(app, ["report", str(world.good), "-o", str(tmp_path / "r")])
    assert isinstance(result.exception, MissingExtra)
    assert "pip install 'agelens[data]'" in str(result.exception)
    assert not (tmp_path / "r").exists()
