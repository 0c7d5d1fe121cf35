import importlib.util

import numpy as np
import pytest

from agelens import errors
from agelens.errors import MissingExtra
from agelens.output import frames
from agelens.results import Box, Gender, Landmarks, Prediction, Reason, Status

BOX = Box(1, 2, 31.04, 42)
POINTS = Landmarks((1, 2), (3, 2), (2, 3), (1, 4), (3, 4))


def person(age=34.126, box: Box | None = BOX, gender: Gender | None = Gender.MALE) -> Prediction:
    p = np.zeros(117, np.float32)
    p[int(age)] = 1
    return Prediction(
        age, (round(age) - 2, round(age) + 3), p, gender, 0.25, box, POINTS if box else None,
        0.9 if box else None, Status.UNSURE, (Reason.AGE_UNCLEAR, Reason.GENDER_UNCLEAR), 0.125,
    )  # fmt: skip


def test_a_row_has_the_values_of_the_csv() -> None:
    frame = frames.to_polars([[person()], [], [person(8.0), person(70.0, None, None)]], over=(18,))
    assert frame.columns == [*frames.COLUMNS, "p_over_18"]
    assert frame["file"].to_list() == ["0", "2", "2"] and frame["face"].to_list() == [1, 1, 2]
    assert frame.row(0, named=True).items() >= {
        "age": 34.13, "age_low": 32, "age_high": 37, "gender": "male", "female_probability": 0.25,
        "reasons": "age_unclear gender_unclear", "left": 1.0, "right": 31.0, "detection_score": 0.9,
    }.items()  # fmt: skip
    assert frame["p_over_18"].to_list() == [1.0, 0.0, 1.0]
    last = dict.fromkeys(("gender", "left", "detection_score"))
    assert frame.row(2, named=True).items() >= last.items()


def test_pandas_and_polars_agree() -> None:
    answers = [[person()], [person(8.0, None, None)]]
    ours = frames.to_polars(answers, files=["a.jpg", "b.jpg"], over=(18, 21))
    other = frames.to_pandas(answers, files=["a.jpg", "b.jpg"], over=(18, 21))
    assert list(other.columns) == ours.columns
    plain = other.astype(object).where(other.notna(), None)
    assert plain.to_dict("list") == ours.to_dict(as_series=False)
    assert str(other["age"].dtype) == "float64"


@pytest.mark.parametrize("answers", [[], [[], []]])
def test_no_face_keeps_the_columns_and_their_types(answers) -> None:
    ours, other = frames.to_polars(answers), frames.to_pandas(answers)
    assert len(ours) == len(other) == 0
    assert ours.schema == frames.to_polars([person()]).schema
    assert (other.dtypes == frames.to_pandas([person()]).dtypes).all()


def test_the_distribution_is_a_column_of_lists() -> None:
    frame = frames.to_polars([person(40.0)], distribution=True)
    shares = frame["age_probabilities"][0].to_list()
    assert (len(shares), shares[40]) == (117, 1.0)
    assert frames.to_pandas([person(40.0)], distribution=True)["age_probabilities"][0] == shares


def test_files_and_pictures_must_agree_in_number() -> None:
    with pytest.raises(ValueError, match="1 files for the answers of 2 pictures"):
        frames.to_polars([[person()], []], files=["a.jpg"])
    assert len(frames.to_polars([], files=[])) == len(frames.to_polars([], files=["a.jpg"])) == 0


def test_supervision_gets_boxes_scores_and_labels() -> None:
    detections = frames.to_supervision([person(), person(8.0, gender=None)])
    assert detections.xyxy.tolist()[0] == pytest.approx([1, 2, 31.04, 42])
    assert detections.confidence.tolist() == pytest.approx([0.9, 0.9])
    assert detections.data["label"].tolist() == ["person, 34 (32-37)", "child, 8 (6-11)"]
    assert detections.data["gender"].tolist() == ["male", None]
    assert len(detections[detections.data["age"] > 18]) == 1
    assert len(frames.to_supervision([])) == 0
    with pytest.raises(ValueError, match="face 0 has no box"):
        frames.to_supervision([person(box=None)])


@pytest.mark.parametrize(
    ("give", "package", "extra"),
    [(frames.to_polars, "polars", "frames"), (frames.to_pandas, "pandas", "frames"),
     (frames.to_supervision, "supervision", "supervision")],
)  # fmt: skip
def test_a_missing_package_names_its_extra(give, package: str, extra: str, monkeypatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(errors, "find_spec", lambda name: None if name == package else there(name))
    with pytest.raises(MissingExtra, match=rf"{package}.*agelens\[{extra}\]"):
        give([person()])
