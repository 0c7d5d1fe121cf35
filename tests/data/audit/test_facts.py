from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agelens.data.audit import duplicates, facts
from agelens.data.audit.face_problems import FaceProblem
from agelens.data.audit.label_errors import LabelScores, OutOfFoldPredictions, ScoredLabels
from agelens.data.dataset import Dataset
from agelens.training.batches.targets import read_weights
from agelens.training.recipes.config import DataConfig
from drawn import write_dataset
from labelled import bells


def samples(*rows: tuple[str, int, str | None, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, ["file", "age", "gender", "sha256"], orient="row")


THREE = samples(
    ("a.jpg", 20, "male", "x"), ("b.jpg", 31, "female", "x"), ("c.jpg", 30, "female", "y")
)
COPIES = duplicates.Copies([np.array([0, 1, 2])], [])


def test_the_copy_whose_labels_agree_with_the_others_is_kept() -> None:
    found = facts.actions_for_copies(THREE, COPIES, None)
    excluded = {one.file: one.evidence for one in found if one.suggestion == "exclude"}
    # ages: the median is 30; gender: two of three are female
    assert set(excluded) == {"a.jpg", "b.jpg"}
    assert excluded["a.jpg"] == (
        "the photo of c.jpg, encoded anew; labelled 20 male, there 30 female"
    )
    (kept,) = (one for one in found if one.file == "c.jpg")
    assert (kept.problem, kept.suggestion, kept.weight) == ("copies disagree", "look", 0.5)
    assert kept.evidence == "3 copies of this photo are labelled 20 male, 31 female, 30 female"
    # predictions overrule the other copies
    predicted = OutOfFoldPredictions(bells(np.array([21, 21, 21])), np.full(3, 0.05))
    found = facts.actions_for_copies(THREE, COPIES, predicted)
    assert {one.file for one in found if one.suggestion == "exclude"} == {"b.jpg", "c.jpg"}
    # copies that agree are only excluded
    same = samples(("a.jpg", 20, None, "x"), ("b.jpg", 22, None, "x"), ("c.jpg", 5, None, "z"))
    found = facts.actions_for_copies(same, duplicates.Copies([np.array([0, 1])], []), None)
    assert [(one.file, one.suggestion, one.weight) for one in found] == [("b.jpg", "exclude", 0)]
    assert "byte for byte; labelled 22 not told, there 20 not told" in found[0].evidence


def test_suspect_labels_are_weighted_by_plausibility() -> None:
    suspect, years = np.array([True, False, True]), np.array([60.0, 30, 55])
    age = LabelScores(np.array([30.0, 1, 20]), np.array([0.02, 1, 0.3]), suspect)
    gender = LabelScores(np.array([0.1, 0.99, 0.2]), np.array([1, 0.01, 1.0]), ~suspect)
    female = np.array([0.1, 0.01, 0.2])
    scored = ScoredLabels(age, gender, years, years - 5, years + 5, female)
    found = facts.actions_for_labels(THREE, scored)
    assert [(one.file, one.problem, one.suggestion, one.weight) for one in found] == [
        ("a.jpg", "age", "relabel", 0.02),
        ("c.jpg", "age", "downweight", 0.3),
        ("b.jpg", "gender", "relabel", 0.01),
    ]
    assert found[0].evidence == ("labelled 20; models that never saw it say 60 (8 in 10: 55 to 65)")
    assert found[2].evidence == "labelled female; models that never saw it say male (99.0 %)"


def test_pictures_without_a_face_are_excluded_and_others_looked_at() -> None:
    missing, dull = FaceProblem(1, "no face found"), FaceProblem(0, "dull")
    found = facts.actions_for_faces(THREE, {"no face": [missing], "blurred": [dull]})
    actions = [(one.file, one.suggestion, one.weight) for one in found]
    assert actions == [("b.jpg", "exclude", 0), ("a.jpg", "look", 1)]


def test_training_reads_the_actions(tmp_path: Path) -> None:
    dataset = Dataset(write_dataset(tmp_path, 40))
    first, second, third, fourth = dataset.samples["file"].to_list()[:4]
    found = [
        facts.Action(first, "copy", 'the photo of "x", encoded anew; labelled 1', "exclude", 0),
        facts.Action(second, "age", "labelled 1", "relabel", 0.02),
        facts.Action(second, "gender", "labelled male", "downweight", 0.3),
        facts.Action(third, "blurred", "sharpness 1", "look", 1),
        *facts.actions_for_files({fourth: "missing from images/"}),
    ]
    path = tmp_path / "actions.csv"
    facts.write_actions(found, path)
    left_out = read_weights(DataConfig(exclude=str(path)), dataset)
    weighed = read_weights(DataConfig(downweight=str(path)), dataset)
    assert left_out[:5].tolist() == [0, 1, 1, 0, 1]
    assert weighed[:5].tolist() == pytest.approx([0, 0.02, 1, 0, 1])
    facts.write_actions([], path)
    assert path.read_text("utf-8").strip() == "file,problem,evidence,suggestion,weight"
    both = DataConfig(exclude=str(path), downweight=str(path))
    assert (read_weights(both, dataset) == 1).all()
