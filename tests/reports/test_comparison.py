import html
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
from agelens.errors import DatasetError, MissingExtra, ModelError, SourceError
from agelens.evaluation.evaluation_folder import load_all
from agelens.reports import charts
from agelens.reports.comparison.report import Plan, make, write
from agelens.reports.page import Page, Table, Text
from conftest import build_tiny_model
from reported import (
    DRAWING,
    bent_model,
    evaluate,
    first_only,
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


@pytest.fixture(scope="module")
def few_charts() -> Iterator[None]:
    """Draw the first chart of each kind, and show it for the others: drawing takes long."""
    with pytest.MonkeyPatch.context() as patch:
        for name, draw in DRAWING.items():
            patch.setattr(charts, name, first_only(draw))
        yield


@pytest.fixture(scope="module")
def whole(
    world: World, few_charts: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Page]:
    """A report with everything: three models, pictures, saliency of two."""
    folder = tmp_path_factory.mktemp("report")
    words = [str(world.good), str(world.old), f"a blind one={world.blind}"]
    plan = Plan(words, folder, world.data, [str(world.old.parent / "old.onnx")], 2, 1)
    return folder, write(plan, lambda *_: None, "agelens report")


def test_every_number_of_the_text_is_in_the_json(whole: tuple[Path, Page]) -> None:
    folder, page = whole
    tree = json.loads((folder / "report.json").read_text("utf-8"))
    assert numbers_are_in(tree, page) > 500


def test_both_files_say_the_same(whole: tuple[Path, Page]) -> None:
    folder, page = whole
    read = html.unescape(re.sub(r"<[^>]*>", "", (folder / "report.html").read_text("utf-8")))
    marked = (folder / "report.md").read_text("utf-8").replace("\\", "")
    for finding in page.findings:
        assert finding.text in read
        assert finding.text in marked
    for section in page.sections:
        for part in section.parts:
            if isinstance(part, Text):
                assert all(p in read and p in marked for p in part.paragraphs)
    charts = re.findall(r"!\[.*?\]\((charts/.*?)\)", marked)
    assert len(charts) == len(set(charts)) > 20
    assert all((folder / chart).read_text("utf-8").startswith("<svg ") for chart in charts)
    said = json.loads((folder / "report.json").read_text("utf-8"))["text"]
    assert {finding.text for finding in page.findings} <= {one["text"] for one in said}
    assert any(one["numbers"] for one in said)
    assert "data:image" not in marked  # faces stay in the page


@pytest.mark.usefixtures("few_charts")
def test_sections(whole: tuple[Path, Page], world: World) -> None:
    titles = [section.title for section in whole[1].sections]
    assert titles == [
        "What was measured", "The figures", "Comparison",
        "Strengths, weaknesses and what to improve", "Training", "Age", "What is taken for what",
        "Certainty", "Groups", "The worst errors", "Where the models look",
        "How it was measured, and its limits",
    ]  # fmt: skip
    alone = make(Plan([str(world.good)], Path()), lambda *_: None)[1]
    assert "Comparison" not in [section.title for section in alone.sections]
    said = "\n".join(texts(alone))
    assert "give the dataset with --data, and they are shown here" in said
    assert "Saliency is left out: it needs the pictures" in said


def test_the_summary_names_the_better_model_and_the_bias(whole: tuple[Path, Page]) -> None:
    said = "\n".join(finding.text for finding in whole[1].findings)
    assert said.startswith("Only 100 faces: ")
    assert "\ngood is off by " in said
    assert re.search(r"good's age error is lower than old's by [23]\.\d+ years", said)
    # all three read the gender alike
    assert "no different from old's beyond chance (0.00 points" in said
    assert "of 1 pair of byte-identical pictures" in said


def test_verdicts_name_what_was_planted(whole: tuple[Path, Page]) -> None:
    section = next(s for s in whole[1].sections if s.title.startswith("Strengths"))
    tables = {str(t.caption): t for t in section.parts if isinstance(t, Table)}
    said = {name: " ".join(t.cells[i][1] for i in range(len(t.rows))) for name, t in tables.items()}
    assert "The lowest age error" in said["good"]
    assert "The highest age error" in said["a blind one"]
    assert re.search(r"Makes ages 61\+ too old, by \d", said["old"])
    assert re.search(r"Makes ages 61\+ too young, by 1\d", said["a blind one"])
    assert "Its 90% intervals are too narrow for" in said["a blind one"]
    assert "More epochs of the same will not help" in said["good"]
    # a model that is too young and one that is too old complement each other
    assert re.search(r"Join it with (old|good)", said["a blind one"])
    assert not any("nan" in text.lower() for text in said.values())


def test_a_claim_never_has_an_interval_with_zero_in_it(whole: tuple[Path, Page]) -> None:
    tree = json.loads((whole[0] / "report.json").read_text("utf-8"))
    checked = 0
    for pair in tree["comparison"]["pairs"]:
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


@pytest.mark.usefixtures("few_charts")
def test_identical_models_do_not_differ(world: World) -> None:
    tree, page = make(Plan([f"a={world.good}", f"b={world.good}"], Path()), lambda *_: None)
    pair = tree["comparison"]["pairs"][0]
    assert all(figure["better"] is None for figure in pair["figures"].values())
    assert pair["figures"]["age_mae"] == {"value": 0, "low": 0, "high": 0, "better": None}
    assert pair["together"]["error_correlation"] == pytest.approx(1)
    said = "\n".join(texts(page))
    assert "There is no group for which a is better by more than chance." in said
    assert "would not beat the better of the two" in said
    assert not re.search(r"\b(a|b) has the (lower|higher)", said)


@pytest.mark.usefixtures("few_charts")
def test_intervals_are_those_of_the_evaluation(world: World) -> None:
    tree, _ = make(Plan([str(world.good)], Path()), lambda *_: None)
    everyone = tree["models"]["good"]["reliability"]["doubt"]["surest"][-1]["age_mae"]
    about = json.loads((world.good / "evaluation.json").read_text("utf-8"))
    assert everyone == pytest.approx(about["subsets"]["all"]["figures"]["age_mae"], rel=1e-5)


def test_training_curves_and_where_they_stood(whole: tuple[Path, Page]) -> None:
    tree = json.loads((whole[0] / "report.json").read_text("utf-8"))
    record = tree["models"]["good"]["training"]
    assert (record["best_epoch"], record["done_epochs"], record["planned_epochs"]) == (2, 3, 4)
    assert record["hours"] == pytest.approx(0.1)
    assert tree["models"]["old"]["training"] is None
    section = next(s for s in whole[1].sections if s.title == "Training")
    said = "\n".join(p for part in section.parts if isinstance(part, Text) for p in part.paragraphs)
    assert "lowest validation age MAE, 5.50 years, after epoch 2 of 3" in said
    assert "No training history lies beside the evaluation of old and a blind one." in said
    assert "on the training faces was not recorded epoch by epoch for good;" in said


@pytest.mark.usefixtures("few_charts")
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
    _, page = make(Plan([str(run / "evaluation")], Path()), lambda *_: None)
    learnt = drawn["age MAE, years", "good, training"]
    assert np.array_equal(learnt.y, [np.nan, 7.5, 7.0], equal_nan=True)
    assert list(drawn["gender accuracy", "good, validation"].y) == [0.88, 0.9, 0.91]
    said = "\n".join(texts(page))
    assert "of augmented faces, with dropout" in said
    assert "was not recorded epoch by epoch" not in said
    assert "Age error on validation faces after each epoch, on training faces during it" in said


@pytest.mark.usefixtures("few_charts")
def test_what_was_learnt_by_heart(world: World, tmp_path: Path) -> None:
    run = shutil.copytree(world.good.parent, tmp_path / "run")
    learnt = shutil.copytree(run / "evaluation", run / "evaluation-train")
    about = json.loads((learnt / "evaluation.json").read_text("utf-8"))
    about["data"]["part"], about["faces"] = "train", 1000
    about["subsets"]["all"]["figures"]["age_mae"] = {"value": 1.5, "low": 1.4, "high": 1.6}
    (learnt / "evaluation.json").write_text(json.dumps(about))
    _, page = make(Plan([str(run / "evaluation")], Path()), lambda *_: None)
    said = "\n".join(texts(page))
    assert "on the 1,000 faces it was trained on it is off by 1.50 (1.40 to 1.60) years" in said
    assert "It knows its training faces better (off by 1.50 years) than new ones" in said
    about["flip"] = True  # made in another way: not to be held against this one
    (learnt / "evaluation.json").write_text(json.dumps(about))
    _, page = make(Plan([str(run / "evaluation")], Path()), lambda *_: None)
    assert "faces it was trained on" not in "\n".join(texts(page))


@pytest.mark.usefixtures("few_charts")
def test_a_hybrid_is_held_against_its_better_half(
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
    _, page = make(
        Plan([f"both={both}", f"old={world.old}", f"blind={world.blind}"], Path()), lambda *_: None
    )
    findings = "\n".join(finding.text for finding in page.findings)
    assert "both beats its better half, old: its age error is lower by" in findings
    table = next(
        p for s in page.sections for p in s.parts
        if isinstance(p, Table) and "what each member brings" in p.caption
    )  # fmt: skip
    assert table.cells[1][:3] == ["old + blind", "average", "4.000"]


@pytest.mark.usefixtures("few_charts")
def test_a_split_that_was_trained_on_is_marked(
    world: World, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model({"name": "tiny", "data": {"split": 3}})
    folder = evaluate(model, world.data, tmp_path / "e", "tiny")
    _, page = make(Plan([str(folder)], Path()), lambda *_: None)
    first = page.findings[0]
    assert first.kind == "strange"
    assert "has seen some of these faces in training (split 3, measured on split 0)" in first.text


def test_faces_that_were_not_found(tiny_model: Path, tmp_path: Path) -> None:
    data = write_faces(tmp_path / "few", 10)
    folder = evaluate(tiny_model, data, tmp_path / "e", "tiny", pipeline=True)
    tree, page = make(Plan([str(folder)], Path(), data), lambda *_: None)
    assert tree["models"]["tiny"]["missed"]["faces"] == 10  # drawn chips are no faces
    assert page.findings[0].kind == "strange"
    assert "Only 10 faces" in page.findings[0].text
    assert "Too few faces were answered" in page.findings[1].text


def test_files_are_written_by_the_command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lines", "forest"):  # those that may meet figures that are not defined
        monkeypatch.setattr(charts, name, DRAWING[name])
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
    monkeypatch.setattr("agelens.cli.extras.find_spec", lambda name: name != "jinja2" or None)
    result: Any = CliRunner().invoke(app, ["report", str(world.good), "-o", str(tmp_path / "r")])
    assert isinstance(result.exception, MissingExtra)
    assert "pip install 'agelens[data]'" in str(result.exception)
    assert not (tmp_path / "r").exists()
