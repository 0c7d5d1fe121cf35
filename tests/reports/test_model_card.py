import json
import re
import shutil
from pathlib import Path

import pytest

from agelens.errors import DatasetError, ModelError, SourceError
from agelens.inference.runtime import Model
from agelens.reports.model_card import find_evaluation, make
from commands import invoke
from conftest import build_tiny_model
from labelled import write_folder
from reported import evaluate, texts, write_faces

CARD = {
    "name": "mine", "backbone": "faceres-deep", "input_size": 160, "made": "2026-01-01T00:00:00",
    "licence": "Weights: research only. Code: MIT.", "data": {"name": "UTKFace", "folds": "v1",
    "split": 0}, "commit": "abc",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("card")
    folder = write_folder(root / "mine", {"run.json": b'{"parameters": 3316982}'})
    model = build_tiny_model(folder / "model.onnx", CARD)
    data = write_faces(root / "faces")
    (data / "dataset.json").write_text('{"form": {"terms": "Drawn: free for all."}}')
    evaluate(model, data, folder / "evaluation-split0-test", "mine")
    evaluate(model, data, folder / "evaluation-split0-test-flip", "mine", flip=True)
    return folder


def test_a_card_says_what_a_reader_needs(run: Path, tmp_path: Path) -> None:
    result = invoke("card", run, "--output", tmp_path / "docs")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "docs" / "model-card.md")
    files = {path.suffix: path for path in (tmp_path / "docs").glob("*")}
    assert {path.name for path in files.values()} == {"model-card.html", "model-card.md"}
    text = files[".md"].read_text("utf-8")
    headings = re.findall(r"^## (.*)", text, re.M)
    assert headings == [
        "What it is", "Use", "Licences", "Data", "The figures", "By age", "By group",
        "Calibration", "Cost", "To repeat", "Limits",
    ]  # fmt: skip
    figures = json.loads((run / "evaluation-split0-test" / "evaluation.json").read_text())
    mae = figures["subsets"]["all"]["figures"]["age_mae"]
    for words in (
        f"Off by {mae['value']:.2f} years ({mae['low']:.2f} to {mae['high']:.2f})",
        f"| age MAE, years | {mae['value']:.2f} ({mae['low']:.2f} to",
        "fine-tuned from faceres-deep at 160 px", "| parameters | 3.3 million |",
        "| weights and code | Weights: research only. Code: MIT. |",
        "| data | Drawn: free for all. |", "of 1 pair of byte-identical pictures",
        "Measured on 100 of the 100 faces, the test folds of split 0, without flip",
        "agelens train mine.toml --data utkface", "agelens backbones get faceres-deep",
        "| race label: asian | 34 |", "These figures are not corrected for age",
    ):  # fmt: skip
        assert words in text
    assert re.search(r"MB; \d+\.\d ms for a face at batch 1, \d+\.\d ms at batch 16", text)
    assert "None" not in text and "nan" not in text
    assert "<svg" in files[".html"].read_text("utf-8")


def test_another_evaluation_than_the_default_can_be_given(run: Path) -> None:
    assert find_evaluation(Model(run, 1)) == run / "evaluation-split0-test"
    made = make(str(run), evaluation=run / "evaluation-split0-test-flip", timing=False)
    said = texts(made.html())
    assert "with flip averaging; by default it is without" in said
    assert "The time for a face was not measured." in said


def test_a_shipped_file_is_the_model_of_its_run_another_is_not(run: Path, tmp_path: Path) -> None:
    shipped = build_tiny_model(tmp_path / "shipped.onnx", {**CARD, "test": {"age_mae": 3.0}})
    made = make(str(shipped), evaluation=run / "evaluation-split0-test", timing=False)
    assert "\nage MAE, years\n" in texts(made.html())
    other = build_tiny_model(tmp_path / "other.onnx", {**CARD, "made": "2026-02-02T00:00:00"})
    with pytest.raises(DatasetError, match="is an evaluation of another model \\('mine'"):
        make(str(other), evaluation=run / "evaluation-split0-test", timing=False)


def test_without_an_evaluation_the_card_says_so(tmp_path: Path) -> None:
    test = {"faces": 4605, "age_mae": 4.3354, "age_within_5": 0.7207, "gender_accuracy": 0.9407}
    alone = build_tiny_model(tmp_path / "alone.onnx", {**CARD, "test": test})
    made = make(str(alone), timing=False)
    missing, own = made.opening
    assert missing.strange and "No evaluation was given" in missing.text
    assert own.text == (
        "The card in the file says: age MAE 4.34 years, CS@5 72.1%, gender accuracy 94.1%, on "
        "4,605 test faces."
    )
    assert "<h2>By group</h2>" not in made.html()


def test_an_evaluation_on_other_folds_is_not_taken_for_a_test(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "mine")
    for file in copy.glob("evaluation*/evaluation.json"):
        about = json.loads(file.read_text())
        about["data"]["part"] = "validation"
        file.write_text(json.dumps(about))
    write_folder(copy / "evaluation-broken", {"evaluation.json": b"{"})
    assert find_evaluation(Model(copy, 1)) is None


def test_a_hybrid_names_its_members(tmp_path: Path) -> None:
    members = [
        {"name": "a", "backbone": "dlib", "after": ["first", "second"], "taught": True},
        {"name": "b", "backbone": "hybrid", "joins": ["scratch", "faceres-deep"]},
    ]
    card = {"name": "both", "members": members, "how": "stack", "made": "now"}
    made = make(str(build_tiny_model(tmp_path / "both.onnx", card)), timing=False)
    said = texts(made.html())
    assert "\nhybrid of a and b\n" in said
    starts = re.findall(r"^starts from\n(.*)", said, re.M)
    assert [str(start).partition(" ")[0] for start in starts] == ["dlib's", "faceres-deep"]
    steps = ("train a.toml --data utkface", "train b.toml --data utkface",
             "combine runs/a runs/b --data utkface --run runs/both")  # fmt: skip
    places = [said.index(f"agelens {step}") for step in steps]
    assert places == sorted(places)


def test_mistakes_are_named(run: Path, tmp_path: Path) -> None:
    for words, kind, message in (
        (["nosuch"], ModelError, "no model 'nosuch'"),
        ([run, "--evaluation", "nowhere"], SourceError, "'nowhere' is no evaluation"),
    ):
        with pytest.raises(kind, match=message):
            raise invoke("card", *words, "--output", tmp_path / "x", "--no-timing").exception
    assert not (tmp_path / "x").exists()
