"""Predictions as the rows of a part: one per face, and one per picture without a face."""

import io
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.inference.distribution import AGES
from agelens.predictor import Answer

NO_FACE = "no_face"
ERROR = "error"
SCALE = 65535
"""The scale of the integers in `age_distribution`, which take an eighth of the space of floats."""

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String,  # path or URL as listed; for a shard or table with the name in it
    "face": pl.UInt16,  # number in the picture from 1, largest first; 0 in a row without a face
    **dict.fromkeys(("width", "height"), pl.UInt32),  # pixels of the upright picture, or null
    **dict.fromkeys(("left", "top", "right", "bottom"), pl.Float32),  # pixels
    "landmarks": pl.Array(pl.Float32, (5, 2)),  # pixels, in the order of `results.Landmarks`
    "detection_score": pl.Float32,  # 0 to 1
    **dict.fromkeys(("age", "age_low", "age_high"), pl.Float32),  # years; a 90 % interval
    "age_distribution": pl.Array(pl.UInt16, AGES),  # probabilities of the ages, times SCALE
    "gender": pl.String,  # female or male; null if neither reaches the threshold
    "female_probability": pl.Float32,  # 0 to 1
    "status": pl.String,  # of a face ok, unsure or poor; else no_face or error
    "reasons": pl.List(pl.String),  # why a face is unsure or poor
    "doubt": pl.Float32,  # 0 to 1: the probability of a large error
    "error": pl.String,  # why the picture could not be used
    "model": pl.String,  # SHA-256 of the model's file
}


class Rows:
    """The rows of one part while it is filled."""

    def __init__(self, model: str) -> None:
        """Start a part for predictions of the model with this SHA-256."""
        self._model = model
        self._columns: dict[str, list[object]] = {name: [] for name in SCHEMA}
        self.pictures = 0
        self.faces = 0
        self.errors = 0

    def __len__(self) -> int:
        return len(self._columns["source"])

    def add(self, answer: Answer) -> None:
        """Add the predictions of one picture, or its error."""
        if answer.error is not None:
            self.add_error(answer.name, str(answer.error))
            return
        self.pictures += 1
        self.faces += len(answer.predictions)
        picture = {"source": answer.name, "width": answer.width, "height": answer.height}
        if not answer.predictions:
            self._append(picture | {"face": 0, "status": NO_FACE})
        for number, face in enumerate(answer.predictions, 1):
            row: dict[str, object] = {
                "face": number,
                "age": face.age,
                "age_low": face.age_interval[0],
                "age_high": face.age_interval[1],
                "age_distribution": quantize(face.age_probabilities).tolist(),
                "gender": None if face.gender is None else face.gender.value,
                "female_probability": face.female_probability,
                "status": face.status.value,
                "reasons": [reason.value for reason in face.reasons],
                "doubt": face.error_probability,
                "detection_score": face.detection_score,
            }
            if face.box is not None:
                box = face.box
                row |= {"left": box.left, "top": box.top, "right": box.right, "bottom": box.bottom}
            if face.landmarks is not None:
                row["landmarks"] = face.landmarks.array().tolist()
            self._append(picture | row)

    def add_error(self, source: str, reason: str) -> None:
        """Add a picture, or a shard, that could not be used."""
        self.pictures += 1
        self.errors += 1
        self._append({"source": source, "face": 0, "status": ERROR, "error": reason})

    def _append(self, row: Mapping[str, object]) -> None:
        for name, column in self._columns.items():
            column.append(self._model if name == "model" else row.get(name))

    def frame(self) -> pl.DataFrame:
        """Return the rows as a table with the columns of SCHEMA."""
        return pl.DataFrame(
            {name: pl.Series(name, self._columns[name], kind) for name, kind in SCHEMA.items()}
        )

    def parquet(self, metadata: Mapping[str, str]) -> bytes:
        """Return the rows as a Parquet file with `metadata` in its footer."""
        file = io.BytesIO()
        self.frame().write_parquet(file, compression="zstd", metadata=dict(metadata))
        return file.getvalue()


def quantize(probabilities: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return probabilities (117,) as integers in units of 1/65535, rounded."""
    return np.asarray(np.rint(np.clip(probabilities, 0, 1) * SCALE), np.uint16)
