"""A worker of either engine: process units, slice by slice, into committed parts, on one thread."""

import io
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agelens.batch.ledger import MAX_PICTURES, METADATA, Part, Unit, part_name
from agelens.batch.progress import Committed, Deferred, Event, Predicted
from agelens.batch.reader import Item, Origin, read_unit
from agelens.batch.storage import Store
from agelens.errors import AgelensError, BatchError, SourceUnreachable
from agelens.images.sources import Source
from agelens.inference.distribution import AGES
from agelens.inference.runtime import locate
from agelens.predictor import Answer, Predictor, load
from agelens.provenance import Stopwatch, sha256

MAX_FAILURES = 5  # at one picture, before something else must be wrong
ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}  # read as libraries load
SCALE = 65535  # of the integers in `age_distribution`: they take an eighth of the space of floats

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
class Options:
    """How pictures are predicted; another value makes another run."""

    flip: bool | None = None
    longest: int = 1280
    gender_threshold: float = 0.5
    min_face: float = 0
    max_faces: int | None = None
    keep_doubtful: bool = False
    chips: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker must know: where things are, and how to predict."""

    output: str
    origin: Origin
    source: str  # as given when the run was started
    model: str  # a shipped name, or an absolute path
    model_sha256: str
    options: Options


def load_predictor(job: Job) -> Predictor:
    """Load the model of a job, for one thread."""
    settings = asdict(job.options)
    del settings["chips"]
    return load(job.model, threads=1, **settings)


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
        metadata = {} if part is None else {METADATA: json.dumps(asdict(part))}
        table = pl.DataFrame(self._rows, SCHEMA)
        table.write_parquet(file, compression="zstd", metadata=metadata)
        return file.getvalue()


def quantize(probabilities: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return probabilities (117,) as integers in units of 1/65535, rounded."""
    return np.asarray(np.rint(np.clip(probabilities, 0, 1) * SCALE), np.uint16)


def predict_items(
    predictor: Predictor, items: Iterable[Item], rows: Rows, chips: bool,
    on_picture: Callable[[str], None] = lambda name: None,
) -> Iterator[Answer]:  # fmt: skip
    """Predict items, add them to `rows`, and yield the answer of each that could be read.

    Calls `on_picture` with the name of each picture before it is read.
    """

    def sources() -> Iterator[Source]:
        for item in items:
            if item.data is None:
                rows.add_error(item.name, item.error or "nothing there")
            else:
                on_picture(item.name)
                yield Source(item.name, item.data)

    for answer in predictor.predict_stream(sources(), chips=chips):
        rows.add(answer)
        yield answer


class Worker:
    """A loaded model, and the store for its predictions."""

    def __init__(self, job: Job, name: str) -> None:
        """Load the model. Raises BatchError if it is not the one the run was started with."""
        self._job = job
        self._name = name
        found = sha256(locate(job.model))
        if found != job.model_sha256:
            raise BatchError(
                f"model {job.model!r} has SHA-256 {found[:12]} here, but {job.model_sha256[:12]} "
                "where the run was started: install the same version, or copy the same file here"
            )
        self._predictor = load_predictor(job)
        self._fetching = Stopwatch(("fetch",))
        self._store = Store(job.output)
        self.on_picture: Callable[[str], None] = lambda name: None  # before each is read
        self._current = ""  # the picture that was read last
        self._failures: Counter[str] = Counter()

    def process(
        self, unit: Unit, first: int, excluded: Mapping[str, str] | None = None
    ) -> Iterator[Event]:
        """Predict a unit from slice `first` on, and commit its parts; yield the events.

        Pictures in `excluded` are not read; the mapping holds the reasons. If the source does not
        respond, the last event is Deferred. Raises BatchError if nothing can be written; parts
        that were committed before stay.
        """
        excluded = dict(excluded or {})
        while True:
            try:
                for event in self._slices(unit, first, excluded):
                    if isinstance(event, Committed):
                        first = event.part.slice + 1
                    yield event
                return
            except SourceUnreachable as error:
                yield Deferred(self._name, unit.number, str(error))
                return
            except (AgelensError, EOFError, ConnectionError):
                raise
            except Exception as error:  # whatever one picture does, the others are predicted
                if not self._current:  # it was not a picture
                    raise
                name, reason = self._current, f"{type(error).__name__}: {error}"
                self._failures[name] += 1
                if self._failures[name] > MAX_FAILURES:
                    raise BatchError(f"{name!r} fails again and again: {reason}") from error
                if self._failures[name] > 1:
                    excluded[name] = f"reading this picture failed twice: {reason}"

    def _slices(self, unit: Unit, first: int, excluded: Mapping[str, str]) -> Iterator[Event]:
        items = itertools.islice(self._items(unit, excluded), first * MAX_PICTURES, None)
        before = self._fetching | self._predictor.seconds
        following = next(items, None)
        for number in itertools.count(first):
            rows = Rows(self._job.model_sha256)
            slice_ = itertools.chain(
                filter(None, [following]), itertools.islice(items, MAX_PICTURES - 1)
            )
            chips = self._job.options.chips
            for answer in predict_items(self._predictor, slice_, rows, chips, self._begin):
                failed = int(answer.error is not None)
                yield Predicted(self._name, 1, len(answer.predictions), failed, memory_mb())
            self._current = ""
            following = next(items, None)
            after = self._fetching | self._predictor.seconds
            seconds = {stage: round(after[stage] - before[stage], 4) for stage in after}
            before = after
            part = Part(
                unit.number, number, following is None,
                rows.pictures, rows.faces, rows.errors, len(rows), seconds,
            )  # fmt: skip
            start = time.perf_counter()
            data = rows.parquet(part)
            self._store.write(part_name(unit.number, number), data)
            seconds["write"] = round(time.perf_counter() - start, 4)  # too late for the footer
            yield Committed(self._name, part, len(data), memory_mb())
            if following is None:
                return

    def _items(self, unit: Unit, excluded: Mapping[str, str]) -> Iterator[Item]:
        items = read_unit(unit, self._job.origin)
        while True:
            with self._fetching.timed("fetch"):
                item = next(items, None)
            if item is None:
                return
            yield Item(item.name, error=excluded[item.name]) if item.name in excluded else item

    def _begin(self, picture: str) -> None:
        self._current = picture
        self.on_picture(picture)


def memory_mb() -> float:
    """Return the resident memory of this process in MB, 0 if it is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
