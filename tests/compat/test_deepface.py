import base64
import io
from pathlib import Path

import numpy as np
import pytest

from agelens.compat import deepface
from agelens.errors import AgelensError, ConfigError
from agelens.predictor import load
from photos import encoded


@pytest.fixture(autouse=True)
def own_model(monkeypatch, tiny_model):
    monkeypatch.setenv("AGELENS_MODEL", str(tiny_model))
    deepface._predictor.cache_clear()
    yield
    deepface._predictor.cache_clear()


def test_the_result_has_deepfaces_form(astronaut_path: Path, astronaut, tiny_model) -> None:
    settings = {"actions": ["age", "gender"], "detector_backend": "retinaface", "silent": True}
    (face,) = deepface.analyze(str(astronaut_path), **settings)
    assert list(face) == ["age", "gender", "dominant_gender", "region", "face_confidence"]
    (ours,) = load(tiny_model).predict(astronaut)
    assert face["age"] == round(ours.age) and type(face["age"]) is int
    assert face["gender"]["Woman"] == pytest.approx(100 * ours.female_probability)
    assert sum(face["gender"].values()) == pytest.approx(100)
    assert face["dominant_gender"] == max(face["gender"], key=face["gender"].get)
    region = face["region"]
    assert list(region) == ["x", "y", "w", "h", "left_eye", "right_eye"]
    assert (region["x"], region["y"]) == (int(ours.box.left), int(ours.box.top))
    assert region["w"] == pytest.approx(ours.box.width, abs=1)
    # The person's left eye stands to the right in the picture.
    assert region["left_eye"][0] > region["right_eye"][0] > region["x"]
    assert 0.7 < face["face_confidence"] <= 1


def test_each_kind_of_input_gives_the_same_result(astronaut_path: Path, astronaut) -> None:
    file = encoded(astronaut, kind="PNG")
    bgr = np.ascontiguousarray(astronaut[..., ::-1])
    uri = "data:image/png;base64," + base64.b64encode(file).decode()
    first = deepface.analyze(bgr)
    bgra = np.dstack([bgr, np.full(bgr.shape[:2], 255, np.uint8)])
    for picture in (bgra, uri, io.BytesIO(file), astronaut_path):
        assert deepface.analyze(picture) == first, type(picture)
    # Colours matter to the tiny model: RGB taken for BGR would be told another gender.
    assert deepface.analyze(astronaut)[0]["gender"] != first[0]["gender"]
    two = [bgr, bgr]  # several pictures give several lists
    assert deepface.analyze(two) == deepface.analyze(np.stack(two)) == [first, first]


@pytest.mark.parametrize("actions", ["age", ("age",), ["gender"]])
def test_only_the_requested_actions_are_returned(astronaut, actions) -> None:
    (face,) = deepface.analyze(astronaut, actions=actions)
    assert ("age" in face) == ("age" in actions)
    assert ("gender" in face) == ("gender" in actions) == ("dominant_gender" in face)


def test_no_face_is_a_value_error_unless_detection_is_optional() -> None:
    empty = np.full((80, 120, 3), 130, np.uint8)
    with pytest.raises(ValueError, match="Face could not be detected") as caught:
        deepface.analyze(empty)
    assert isinstance(caught.value, AgelensError)
    (face,) = deepface.analyze(empty, enforce_detection=False)
    eyes = {"left_eye": None, "right_eye": None}
    assert face["region"] == {"x": 0, "y": 0, "w": 119, "h": 79} | eyes
    assert face["face_confidence"] == 0 <= face["age"] <= 116
    assert deepface.analyze(empty, detector_backend="skip") == [face]


@pytest.mark.parametrize(("actions", "message"), [
    (("age", "emotion"), "emotion.*not predicted by agelens"),
    (("age", "race"), "race.*not predicted by agelens"),
    (["smile"], "'smile': expected 'age' or 'gender'"), ([], "no actions"),
])  # fmt: skip
def test_other_actions_and_anti_spoofing_are_refused(actions, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deepface.analyze("x.jpg", actions=actions)
    with pytest.raises(ConfigError, match="anti_spoofing"):
        deepface.analyze("x.jpg", anti_spoofing=True)


@pytest.mark.parametrize(("bad", "said"), [
    ("no such file.jpg", "no such file"), ("data:image/png;base64,@@@", "not base64"),
    ("https://example.org/a.jpg", "addresses are not fetched"),
    ("data:image/png;base64,aGFsbG8=", "not a picture"), (np.zeros((4, 4, 3)), "float64"),
    (io.StringIO("text"), "StringIO"), (7, "type int"),
])  # fmt: skip
def test_inputs_that_are_not_pictures_are_value_errors(bad, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        deepface.analyze(bad)
    assert isinstance(caught.value, AgelensError)
