"""The parts of a run: Parquet files with the predictions of one slice of a unit each.

The plan determines the name of a part, and writing the whole file commits it: whoever processes
the slice again, even a worker that was thought dead, writes the same file to the same place. A
part carries its counts in its footer.
"""

import io
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.batch import storage
from agelens.batch.storage import Store
from agelens.inference.distribution import AGES
from agelens.predictor import Answer

FOLDER = "parts"
SCALE = 65535
"""The scale of the integers in `age_distribution`, which take an eighth of the space of floats."""
_METADATA = "agelens.part"

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


@dataclass(frozen=True, slots=True)
class Part:
    """A committed part: the predictions of slice `slice` of unit `unit`."""

    unit: int
    slice: int
    last: bool  # whether the unit ends here
    pictures: int
    faces: int
    errors: int  # pictures that could not be used
    rows: int
    seconds: dict[str, float] = field(default_factory=dict)  # by stage


def part_name(unit: int, number: int) -> str:
    """Return the file of the part for slice `number` of a unit, in the folder of the run."""
    return f"{FOLDER}/part-{unit:07}-{number:06}.parquet"


def read_part(store: Store, unit: int, number: int) -> Part | None:
    """Read a part from its footer; None if it is missing or damaged, so that it is made again."""
    try:
        path = store.path(part_name(unit, number))
        metadata = storage.read_footer(path, pl.read_parquet_metadata)
        part = Part(**json.loads(metadata[_METADATA]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return part if (part.unit, part.slice) == (unit, number) else None


class Rows:
    """The rows of a part while it is filled: one per face, one per picture without a face."""

    def __init__(self, model: str) -> None:
        """Start a part for predictions of the model with this SHA-256."""
        self._model = model
        self._rows: list[dict[str, Any]] = []
        self.pictures = self.faces = self.errors = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, answer: Answer) -> None:
        """Add the predictions of one picture, or its error."""
        if answer.error is not None:
            self.add_error(answer.name, str(answer.error))
            return
        self.pictures += 1
        self.faces += len(answer.predictions)
        size = {"width": answer.width, "height": answer.height}
        if not answer.predictions:
            self._append(answer.name, 0, "no_face", size)
        for number, face in enumerate(answer.predictions, 1):
            box, landmarks = face.box, face.landmarks
            self._append(answer.name, number, face.status.value, size | {
                **({} if box is None else asdict(box)),
                "landmarks": None if landmarks is None else landmarks.array().tolist(),
                "detection_score": face.detection_score,
                "age": face.age,
                "age_low": face.age_interval[0],
                "age_high": face.age_interval[1],
                "age_distribution": quantize(face.age_probabilities).tolist(),
                "gender": None if face.gender is None else face.gender.value,
                "female_probability": face.female_probability,
                "reasons": [reason.value for reason in face.reasons],
                "doubt": face.error_probability,
            })  # fmt: skip

    def add_error(self, source: str, reason: str) -> None:
        """Add a picture, or a shard, that could not be used."""
        self.pictures += 1
        self.errors += 1
        self._append(source, 0, "error", {"error": reason})

    def _append(self, source: str, face: int, status: str, fields: dict[str, Any]) -> None:
        row = {"source": source, "face": face, "status": status, "model": self._model}
        self._rows.append(row | fields)

    def parquet(self, part: Part | None = None) -> bytes:
        """Return the rows as a Parquet file with the part's counts in its footer."""
        file = io.BytesIO()
        metadata = {} if part is None else {_METADATA: json.dumps(asdict(part))}
        table = pl.DataFrame(self._rows, SCHEMA)
        table.write_parquet(file, compression="zstd", metadata=metadata)
        return file.getvalue()


def quantize(probabilities: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return probabilities (117,) as integers in units of 1/65535, rounded."""
    return np.asarray(np.rint(np.clip(probabilities, 0, 1) * SCALE), np.uint16)
