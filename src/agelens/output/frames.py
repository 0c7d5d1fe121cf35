"""Predictions as a data frame of Polars or pandas, or as `supervision.Detections`.

None of the three is a dependency: each function asks for its package where it is called.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from agelens.errors import MissingExtra
from agelens.output.tables import COLUMNS as OF_CSV
from agelens.output.tables import flat
from agelens.results import Prediction

if TYPE_CHECKING:
    import pandas
    import polars
    import supervision

Answers: TypeAlias = Iterable[Prediction] | Iterable[Sequence[Prediction]]
"""What `Predictor.predict` gives: the faces of one picture, or a list of such lists."""

NUMBERS = (
    "age", "age_low", "age_high", "female_probability", "doubt",
    "left", "top", "right", "bottom", "detection_score",
)  # fmt: skip
WORDS = ("gender", "status", "reasons")
COLUMNS = tuple(name for name in OF_CSV if name != "error")
"""Of a frame: those of the CSV, without `error`. One row per face; no face, no row."""


def to_polars(
    predictions: Answers,
    *,
    files: Sequence[object] | None = None,
    over: Sequence[int] = (),
    distribution: bool = False,
) -> "polars.DataFrame":
    """Give a Polars frame with one row per face.

    `predictions` is what `predict` gave for one picture or for several; `files` names the
    pictures, one each (else `file` is the picture's place: "0", "1"). `over` adds a column
    `p_over_N` for each age; `distribution` adds `age_probabilities`, 117 shares a face. Years are
    rounded to 0.01, pixels to 0.1, shares to 1e-4, as in the other outputs.

    Raises MissingExtra without Polars, ValueError where `files` are not as many as the pictures.
    """
    _need("polars", "frames")
    import polars as pl

    schema: dict[str, Any] = {"file": pl.String, "face": pl.Int64}
    schema |= {name: pl.String if name in WORDS else pl.Float64 for name in COLUMNS[2:]}
    schema |= {f"p_over_{age}": pl.Float64 for age in over}
    if distribution:
        schema["age_probabilities"] = pl.List(pl.Float64)
    return pl.DataFrame(list(_rows(predictions, files, over, distribution)), schema)


def to_pandas(
    predictions: Answers,
    *,
    files: Sequence[object] | None = None,
    over: Sequence[int] = (),
    distribution: bool = False,
) -> "pandas.DataFrame":
    """Give the same as a pandas frame; see `to_polars`."""
    _need("pandas", "frames")
    import pandas as pd

    columns = [*COLUMNS, *(f"p_over_{age}" for age in over)]
    if distribution:
        columns.append("age_probabilities")
    frame = pd.DataFrame(list(_rows(predictions, files, over, distribution)), columns=columns)
    numbers = [*NUMBERS, *(f"p_over_{age}" for age in over)]
    words = ("file", *WORDS)
    return frame.astype(
        {"face": "int64"} | dict.fromkeys(numbers, "float64") | dict.fromkeys(words, "string")
    )


def to_supervision(predictions: Iterable[Prediction]) -> "supervision.Detections":
    """Give the faces of one picture as `supervision.Detections`, to track, filter and draw.

    `confidence` is the face detector's score; there are no classes. `data` holds `age`, `age_low`,
    `age_high`, `female_probability` and `doubt` (float64), and `gender` (None: not given),
    `status` and `label` ("woman, 34 (28-41)"; all three as objects). Predictions of aligned
    chips have no box and raise ValueError. Raises MissingExtra without supervision.
    """
    _need("supervision", "supervision")
    import supervision as sv

    faces = list(predictions)
    boxes = np.zeros((len(faces), 4), np.float32)
    scores = np.zeros(len(faces), np.float32)
    for i, face in enumerate(faces):
        if face.box is None or face.detection_score is None:
            raise ValueError(f"face {i} has no box, as it came of an aligned chip")
        boxes[i] = (face.box.left, face.box.top, face.box.right, face.box.bottom)
        scores[i] = face.detection_score
    numbers = {
        "age": [face.age for face in faces],
        "age_low": [face.age_interval[0] for face in faces],
        "age_high": [face.age_interval[1] for face in faces],
        "female_probability": [face.female_probability for face in faces],
        "doubt": [face.error_probability for face in faces],
    }
    words = {
        "gender": [None if face.gender is None else face.gender.value for face in faces],
        "status": [face.status.value for face in faces],
        "label": [str(face) for face in faces],
    }
    data: dict[str, Any] = {key: np.array(value, np.float64) for key, value in numbers.items()}
    data |= {key: np.array(value, object) for key, value in words.items()}
    return sv.Detections(xyxy=boxes, confidence=scores, data=data)


def _rows(
    predictions: Answers, files: Sequence[object] | None, over: Sequence[int], distribution: bool
) -> Iterator[dict[str, Any]]:
    pictures = _pictures(predictions)
    # An empty list may be one picture without a face, or no picture: there are no rows anyway.
    if files is not None and pictures and len(files) != len(pictures):
        raise ValueError(f"{len(files)} files for the answers of {len(pictures)} pictures")
    for place, faces in enumerate(pictures):
        name = str(place if files is None else files[place])
        for number, face in enumerate(faces, 1):
            row = {"file": name, "face": number, **flat(face, over)}
            if distribution:
                row["age_probabilities"] = face.to_dict(distribution=True)["age_probabilities"]
            yield row


def _pictures(predictions: Answers) -> list[list[Prediction]]:
    given: list[Any] = list(predictions)
    if given and isinstance(given[0], Prediction):
        return [given]
    return [list(faces) for faces in given]


def _need(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise MissingExtra(package, extra)
