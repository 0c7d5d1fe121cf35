import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest

import reported
from agelens.data import quality
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError, MissingExtra, ModelError, SourceError
from agelens.evaluation.evaluation_folder import load_all
from agelens.reports import charts
from agelens.reports.comparison.report import Made, make, write
from agelens.reports.numbers import read
from commands import invoke
from conftest import build_tiny_model
from labelled import write_folder

HISTORY = (
    "epoch,train_loss,validation_loss,validation_mae,validation_cs5,validation_gender_accuracy,"
    "train_seconds\n"
    "1,6.5,5.0,6.0,0.55,0.88,100\n2,5.5,4.8,5.5,0.60,0.90,100\n3,5.0,4.9,5.6,0.59,0.91,160\n"
)
RUN = {"parameters": 3_300_000, "config": {"schedule": {"epochs": 4}}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("world")
    data = reported.write_faces(root / "faces")
    card = {"name": "good", "backbone": "scratch", "data": {"name": "drawn", "split": 0}}
    run = write_folder(
        root / "good", {"history.csv": HISTORY.encode(), "run.json": json.dumps(RUN).encode()}
    )
    model = build_tiny_model(run / "model.onnx", card)
    old = reported.bent_model(model, root / "old.onnx", scale=1.1)
    blind = reported.bent_model(model, root / "blind.onnx", scale=0.8)
    few = reported.write_faces(root / "few", 30)
    return SimpleNamespace(
        data=data,
        good=reported.evaluate(model, data, run / "evaluation", "good"),
        old=reported.evaluate(old, data, root / "old", "old"),
        blind=reported.evaluate(blind, data, root / "blind", "blind"),
        other_faces=reported.evaluate(model, few, root / "few-evaluation", "other"),
    )


def drawn_quality(dataset: Dataset, *_: Any) -> pl.DataFrame:
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
        for name in reported.DRAWING:
            patch.setattr(charts, name, reported.not_drawn)
        yield


@pytest.fixture(scope="module")
def whole(
    world: SimpleNamespace, quick_pages: None, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("report")
    words = [str(world.good), str(world.old), f"a blind one={world.blind}"]
    made = write(
        words, folder, data=world.data, models=[str(world.old.parent / "old.onnx")],
        saliency_faces=2, threads=1, command="agelens report",
    )  # fmt: skip
    html, tree = ((folder / f"report.{kind}").read_text("utf-8") for kind in ("html", "json"))
    return SimpleNamespace(folder=folder, opening=made.opening, html=html, tree=json.loads(tree))


def report_on(*evaluations: object, **more: Any) -> tuple[Made, str]:
    made = make([str(one) for one in evaluations], **more)
    return made, reported.texts(made.html())


def chapter(html: str, title: str) -> str:
    return "\n".join(one.text for one in read(html) if one.section == title)


def test_all_files_say_the_same_and_every_number_is_in_the_json(whole: SimpleNamespace) -> None:
    assert reported.numbers_are_in(whole.tree, whole.html) > 500
    marked = (whole.folder / "report.md").read_text("utf-8").replace("\\", "")
    said = whole.tree["text"]
    assert {finding.text for finding in whole.opening} <= {one["text"] for one in said}
    assert any(one["numbers"] for one in said)
    pictured = ("Largest errors", "Saliency")  # lines below pictures are left out as well
    assert all(one["text"] in marked for one in said if one["section"] not in pictured)
    drawn = re.findall(r"!\[.*?\]\((charts/.*?)\)", marked)
    assert len(drawn) == len(set(drawn)) > 20
    assert all((whole.folder / chart).read_text("utf-8").startswith("<svg ") for chart in drawn)
    assert "data:image" in whole.html and "data:image" not in marked  # faces stay in the page


def test_chapters(whole: SimpleNamespace, world: SimpleNamespace) -> None:
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


def test_the_page_opens_with_few_figures_and_five_findings(whole: SimpleNamespace) -> None:
    assert len(whole.opening) == 5
    said = "\n".join(finding.text for finding in whole.opening)
    assert said.startswith("Only 100 faces were measured: ") and "\ngood is off by " in said
    assert re.search(r"good's age error is lower than old's by [23]\.\d+ years", said)
    places = set(re.findall(r'\bid="(.*?)"', whole.html))
    assert set(re.findall(r'href="#(.*?)"', whole.html)) <= places  # "see why" leads somewhere
    figures = whole.html.partition('class="figures models"')[2].partition("</table>")[0]
    assert figures.count("<tr>") == 1 + 6
    everything = reported.texts(whole.html)
    # all three read the gender alike
    assert "no different from old's beyond chance (0.00 points" in everything
    assert "of 1 pair of byte-identical pictures" in everything


def test_verdicts_name_what_was_planted(whole: SimpleNamespace) -> None:
    section = chapter(whole.html, "Strengths, weaknesses and what to improve")
    parts = re.split(r"^(good|old|a blind one)$", section, flags=re.M)
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, pattern in (
        ("good", "The lowest age error"), ("a blind one", "The highest age error"),
        ("old", r"Ages 61\+ are predicted too old, by \d"),
        ("a blind one", r"Ages 61\+ are predicted too young, by 1\d"),
        ("a blind one", "The 90% intervals are too narrow for"),
        ("good", "More epochs of the same will not help"),
        ("a blind one", "Combine it with (old|good)"),  # too young and too old ones complement
    ):  # fmt: skip
        assert re.search(pattern, said[name]), pattern
    assert not any("nan" in text.lower() for text in said.values())


def test_a_claim_never_has_an_interval_with_zero_in_it(whole: SimpleNamespace) -> None:
    claims = [
        (pair, name, figure)
        for pair in whole.tree["comparison"]["pairs"]
        for row in (pair, *pair["by_group"])
        for name, figure in row["figures"].items()
        if figure.get("better")
    ]
    for pair, name, figure in claims:
        assert figure["low"] > 0 or figure["high"] < 0
        less = name in ("age_mae", "gender_log_loss", "loss")
        assert figure["better"] == pair["second" if (figure["value"] < 0) == less else "first"]
    assert len(claims) > 20


def test_identical_models_do_not_differ(world: SimpleNamespace) -> None:
    made, said = report_on(f"a={world.good}", f"b={world.good}")
    pair = made.tree["comparison"]["pairs"][0]
    assert all(figure["better"] is None for figure in pair["figures"].values())
    assert pair["figures"]["age_mae"] == {"value": 0, "low": 0, "high": 0, "better": None}
    assert pair["together"]["error_correlation"] == pytest.approx(1)
    assert "There is no group for which a is better by more than chance." in said
    assert "would not beat the better of the two" in said
    assert not re.search(r"\b(a|b) has the (lower|higher)", said)


def test_intervals_are_those_of_the_evaluation(world: SimpleNamespace) -> None:
    made, _ = report_on(world.good)
    everyone = made.tree["models"]["good"]["reliability"]["doubt"]["surest"][-1]["age_mae"]
    about = json.loads((world.good / "evaluation.json").read_text("utf-8"))
    assert everyone == pytest.approx(about["subsets"]["all"]["figures"]["age_mae"], rel=1e-5)


def test_training_curves_and_where_they_stood(whole: SimpleNamespace) -> None:
    record = whole.tree["models"]["good"]["training"]
    assert (record["best_epoch"], record["done_epochs"], record["planned_epochs"]) == (2, 3, 4)
    assert record["hours"] == pytest.approx(0.1)
    assert whole.tree["models"]["old"]["training"] is None
    said = chapter(whole.html, "Training")
    for words in ("lowest validation age MAE of good, 5.50 years, came after epoch 2 of 3",
                  "No training history lies beside the evaluation of old and a blind one.",
                  "on the training faces was not recorded epoch by epoch for good;"):  # fmt: skip
        assert words in said


def test_accuracy_on_training_faces_is_drawn_where_it_was_recorded(
    world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(world.good.parent, tmp_path / "run")
    more = ("train_mae,train_cs5,train_gender_accuracy", ",,", "7.5,0.4,0.8", "7.0,0.45,0.82")
    rows = zip(HISTORY.splitlines(), more, strict=True)  # the first epoch is of an older version
    (run / "history.csv").write_text("".join(f"{row},{own}\n" for row, own in rows))
    draw = Mock(return_value=reported.not_drawn())
    monkeypatch.setattr(charts, "lines", draw)
    _, said = report_on(run / "evaluation")
    calls = [call.args for call in draw.call_args_list]
    drawn = {(axes.y, name): line for series, axes in calls for name, line in series.items()}
    learnt = drawn["age MAE, years", "good, training"]
    assert np.array_equal(learnt.y, [np.nan, 7.5, 7.0], equal_nan=True)
    assert list(drawn["gender accuracy", "good, validation"].y) == [0.88, 0.9, 0.91]
    assert "on augmented faces, with dropout" in said
    assert "was not recorded epoch by epoch" not in said
    assert "Age error on validation faces after each epoch, on training faces during it" in said


def test_figures_on_the_training_faces(world: SimpleNamespace, tmp_path: Path) -> None:
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
    world: SimpleNamespace, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    card = {"name": "both", "members": [{"name": "old"}, {"name": "blind"}], "how": "average"}
    both = reported.evaluate(make_model(card), world.data, tmp_path / "both", "both")
    ways = [
        {"members": members, "how": "average", "validation_mae": mae}
        for members, mae in ((["old"], 5.0), (["old", "blind"], 4.0))
    ]
    (tmp_path / "run.json").write_text(json.dumps({"ways": ways}))
    made, said = report_on(f"both={both}", f"old={world.old}", f"blind={world.blind}")
    best = "both beats its best member, old: its age error is lower by"
    assert any(best in finding.text for finding in made.opening)
    assert "both: what each member brings, on validation faces" in said
    assert "\nold + blind\naverage\n4.000\n" in said


def test_a_split_that_was_trained_on_is_marked(
    world: SimpleNamespace, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    model = make_model({"name": "tiny", "data": {"split": 3}})
    folder = reported.evaluate(model, world.data, tmp_path / "e", "tiny")
    first = report_on(folder)[0].opening[0]
    assert first.strange
    assert "has seen some of these faces in training (split 3, measured on split 0)" in first.text


def test_faces_that_were_not_found(tiny_model: Path, tmp_path: Path) -> None:
    data = reported.write_faces(tmp_path / "few", 10)
    folder = reported.evaluate(tiny_model, data, tmp_path / "e", "tiny", pipeline=True)
    made, _ = report_on(folder, data=data)
    assert made.tree["models"]["tiny"]["missed"]["faces"] == 10  # drawn chips are no faces
    few, none, *_ = made.opening
    assert few.strange and "Only 10 faces" in few.text
    assert "The models answered too few faces" in none.text


def test_files_are_written_by_the_command(
    world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, draw in reported.DRAWING.items():  # forests may meet figures that are not defined
        monkeypatch.setattr(charts, name, draw if name == "forest" else reported.drawn_once(draw))
    folder = tmp_path / "out" / "r"
    result = invoke("report", world.good, "--output", folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(folder / "report.html")
    files = {path.name for path in folder.iterdir()}
    assert files == {"charts", "report.html", "report.json", "report.md"}
    assert "src=" not in (folder / "report.html").read_text("utf-8")


def test_evaluations_of_other_faces_are_refused(world: SimpleNamespace, tmp_path: Path) -> None:
    message = r"'good' and 'other'.*\(100 faces of the test folds of split 0.*; 30 faces"
    with pytest.raises(DatasetError, match=message):
        load_all([str(world.good), str(world.other_faces)])
    other = shutil.copytree(world.old, tmp_path / "old")
    table(lambda t: t.with_columns(pl.col("gender").reverse()))(other / PREDICTIONS)
    with pytest.raises(DatasetError, match="different faces"):
        load_all([str(world.good), str(other)])


def test_a_name_twice_asks_for_names(world: SimpleNamespace) -> None:
    with pytest.raises(SourceError, match=r"two evaluations are named 'good'.*good-2="):
        load_all([str(world.good), str(world.good)])
    assert [one.name for one in load_all([str(world.good), f"b={world.good}"])] == ["good", "b"]


FIGURES, PREDICTIONS = "evaluation.json", "predictions.parquet"


def table(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], Any]:
    return lambda file: change(pl.read_parquet(file)).write_parquet(file)


@pytest.mark.parametrize(("name", "kind", "message", "damage"), [
    (FIGURES, SourceError, "is no evaluation: it has no evaluation.json; make", Path.unlink),
    (FIGURES, DatasetError, "cannot read .*evaluation.json'", lambda f: f.write_text("{")),
    (FIGURES, DatasetError, "has format 99, expected 1",
     lambda file: file.write_text(file.read_text().replace("1", "99", 1))),
    (PREDICTIONS, SourceError, "has no predictions.parquet: evaluate again", Path.unlink),
    (PREDICTIONS, DatasetError, "cannot read .*s.parquet'", lambda f: f.write_bytes(b"PAR1")),
    (PREDICTIONS, DatasetError, "lacks the columns age_low", table(lambda t: t.drop("age_low"))),
    (PREDICTIONS, DatasetError, "predictions of 9 faces and figures of 100",
     table(lambda t: t.head(9))),
    (PREDICTIONS, DatasetError, "its files do not belong together",
     table(lambda t: t.with_columns(pl.col("age_median") + 1))),
])  # fmt: skip
def test_damaged_evaluations_are_named(
    world: SimpleNamespace, tmp_path: Path, name: str, kind: type[Exception], message: str,
    damage: Callable[[Path], Any],
) -> None:  # fmt: skip
    copy = shutil.copytree(world.good, tmp_path / "copy")
    damage(copy / name)
    with pytest.raises(kind, match=message):
        load_all([str(copy)])


def test_wrong_inputs_are_refused(world: SimpleNamespace, tmp_path: Path, tiny_model: Path) -> None:
    for folder, message in (
        (tmp_path / "nowhere", r"is no evaluation: it has no evaluation\.json"),
        (world.good.parent, "it holds the evaluations evaluation: give one of them"),
        (f"={world.old}", "has no name before the sign"),
    ):
        with pytest.raises(SourceError, match=message):
            load_all([str(folder)])
    other = reported.write_faces(tmp_path / "other", 40)
    with pytest.raises(DatasetError, match="is not the dataset of the evaluations"):
        make([str(world.good)], data=other)
    with pytest.raises(ModelError, match="is none of the models that were evaluated"):
        make([str(world.old)], models=[str(tiny_model)])
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="expected a folder"):
        write([str(world.good)], tmp_path / "file")
    for words in ((), ("-o", tmp_path, "--saliency-faces", 1)):
        assert invoke("report", world.good, *words).exit_code == 2


@pytest.mark.parametrize("command", ["report", "card"])
def test_without_jinja2_it_says_what_to_install(
    world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr("agelens.errors.find_spec", lambda name: name != "jinja2" or None)
    with pytest.raises(MissingExtra, match=r"pip install 'agelens\[data\]'"):
        raise invoke(command, world.good, "-o", tmp_path / "r").exception
    assert not (tmp_path / "r").exists()
