"""Convert predictions to a Polars or pandas data frame, or to `supervision.Detections`.

None of the three is a dependency: each function imports its package when called.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from agelens.errors import require
from agelens.output import tables
from agelens.results import Prediction

if TYPE_CHECKING:
    import pandas
    import polars
    import supervision

# The result of `Predictor.predict`: the faces of one picture, or a list of such lists
Answers: TypeAlias = Iterable[Prediction] | Iterable[Sequence[Prediction]]

TEXT_COLUMNS = ("file", "gender", "status", "reasons")
COLUMNS = tuple(name for name in tables.COLUMNS if name != "error")  # one row per face


def to_polars(
    predictions: Answers, *, files: Sequence[object] | None = None, over: Sequence[int] = (),
    distribution: bool = False,
) -> "polars.DataFrame":  # fmt: skip
    """Return a Polars frame with one row per face.

    `predictions` is the result of `predict` for one picture or for several. `files` names the
    pictures, one each; without it `file` is the picture's place: "0", "1". `over` adds a column
    `p_over_N` for each age, `distribution` a column `age_probabilities` with 117 values per face.
    Values are rounded as in the other outputs. Raises MissingExtra without Polars, ValueError if
    `files` and pictures differ in number.
    """
    require("frames", "polars")
    import polars as pl

    kinds: dict[str, Any] = {"face": pl.Int64, **dict.fromkeys(TEXT_COLUMNS, pl.String)}
    schema = {name: kinds.get(name, pl.Float64) for name in _columns(over)}
    if distribution:
        schema["age_probabilities"] = pl.List(pl.Float64)
    return pl.DataFrame(_rows(predictions, files, over, distribution), schema)


def to_pandas(
    predictions: Answers, *, files: Sequence[object] | None = None, over: Sequence[int] = (),
    distribution: bool = False,
) -> "pandas.DataFrame":  # fmt: skip
    """Return the same as a pandas frame; see `to_polars`."""
    require("frames", "pandas")
    import pandas as pd

    kinds = {"face": "int64", **dict.fromkeys(TEXT_COLUMNS, "string")}
    columns = _columns(over)
    rows = _rows(predictions, files, over, distribution)
    frame = pd.DataFrame(rows, columns=columns + ["age_probabilities"] * distribution)
    return frame.astype({name: kinds.get(name, "float64") for name in columns})


def to_supervision(predictions: Iterable[Prediction]) -> "supervision.Detections":
    """Return the faces of one picture as `supervision.Detections`, to track, filter and draw.

    `confidence` is the face detector's score; there are no classes. `data` holds `age`, `age_low`,
    `age_high`, `female_probability` and `doubt` (the error probability), all float64, and `gender`
    (None if not given), `status` and `label` ("woman, 34 (28-41)") as objects. Predictions of
    aligned chips have no box and raise ValueError. Raises MissingExtra without supervision.
    """
    require("supervision", "supervision")
    import supervision as sv

    faces = list(predictions)
    boxes, scores = np.zeros((len(faces), 4), np.float32), np.zeros(len(faces), np.float32)
    for i, face in enumerate(faces):
        if face.box is None or face.detection_score is None:
            raise ValueError(f"face {i} has no box, because its input was an aligned chip")
        boxes[i], scores[i] = astuple(face.box), face.detection_score
    names = ("age", "age_low", "age_high", "female_probability", "doubt")
    numbers = [(x.age, *x.age_interval, x.female_probability, x.error_probability) for x in faces]
    columns = np.array(numbers, float).reshape(len(faces), len(names)).T
    words = {
        "gender": [face.gender and face.gender.value for face in faces],
        "status": [face.status.value for face in faces],
        "label": [str(face) for face in faces],
    }
    data: dict[str, Any] = dict(zip(names, columns, strict=True))
    data |= {name: np.array(values, object) for name, values in words.items()}
    return sv.Detections(xyxy=boxes, confidence=scores, data=data)


def _columns(over: Sequence[int]) -> list[str]:
    return [*COLUMNS, *(f"p_over_{age}" for age in over)]


def _rows(
    predictions: Answers, files: Sequence[object] | None, over: Sequence[int], distribution: bool
) -> list[dict[str, Any]]:
    given: list[Any] = list(predictions)
    pictures = [given] if given and isinstance(given[0], Prediction) else given
    # An empty list may be one picture without a face, or no picture: there are no rows anyway.
    if files is not None and pictures and len(files) != len(pictures):
        raise ValueError(f"{len(files)} files for the answers of {len(pictures)} pictures")
    rows = []
    for place, faces in enumerate(pictures):
        file = str(place if files is None else files[place])
        for number, face in enumerate(faces, 1):
            rows.append({"file": file, "face": number, **tables.flat(face, over)})
            if distribution:
                rows[-1]["age_probabilities"] = face.to_dict(distribution=True)["age_probabilities"]
    return rows
