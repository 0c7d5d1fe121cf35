"""A unit -> committed parts: what every worker does, of either engine.

Pictures are decoded, searched, aligned and predicted by `agelens.predictor`, on one thread: there
are as many workers as cores. Each slice of a unit becomes one part.
"""

import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agelens.batch import reader
from agelens.batch.ledger import Part
from agelens.batch.plan import LARGEST, Unit
from agelens.batch.reader import Item, Where
from agelens.batch.rows import Rows
from agelens.batch.store import open_store
from agelens.errors import AgelensError, BatchError
from agelens.images.sources import Source
from agelens.inference.runtime import locate, shipped
from agelens.predictor import Predictor, load

Tell = Callable[[int, int, int], None]
"""Called with pictures, faces and errors that have come since the last call."""
MOST_FAILURES = 5  # at one picture, before it is thought that something else is wrong
NONE_DEADLY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker has to know: where things are, and how to answer."""

    output: str
    where: Where
    source: str  # as it was given when the run was begun
    model: str  # a shipped name or a path
    model_sha256: str
    flip: bool | None = None
    longest: int = 1280
    gender_threshold: float = 0.5
    min_face: float = 0
    max_faces: int | None = None
    chips: bool = False


def fingerprint(model: str | None) -> str:
    """Give the SHA-256 of a model's file. Raises ModelError when there is no such model."""
    with locate(model).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def predictor(job: Job) -> Predictor:
    """Load the model of a run, to work on one thread."""
    return load(
        job.model,
        threads=1,
        flip=job.flip,
        longest=job.longest,
        gender_threshold=job.gender_threshold,
        min_face=job.min_face,
        max_faces=job.max_faces,
    )


class Pipeline:
    """A loaded model, and where to put what it says."""

    def __init__(self, job: Job) -> None:
        """Load the model. Raises BatchError where it is another than the run was begun with."""
        self._job = job
        found = fingerprint(job.model)
        if found != job.model_sha256:
            raise BatchError(
                f"model {job.model!r} has SHA-256 {found[:12]} here, and {job.model_sha256[:12]} "
                "where the run was begun: install the same version, or put the same file here"
            )
        self._predictor = predictor(job)
        self._store = open_store(job.output)
        self.at: Callable[[str], None] = lambda name: None
        """Called with the name of each picture before it is touched."""
        self._last = ""
        self._failures: Counter[str] = Counter()

    def work(
        self, unit: Unit, begin: int, tell: Tell, deadly: Mapping[str, str] = NONE_DEADLY
    ) -> Iterator[tuple[Part, int]]:
        """Answer a unit from slice `begin` on; give each part once committed, with its bytes.

        Pictures in `deadly` are not touched; it says what they did to a process before. Raises
        SourceUnreachable for a source that does not answer and BatchError where nothing can be
        written; what was given before stays committed.
        """
        deadly = dict(deadly)
        while True:
            try:
                for part, size in self._slices(unit, begin, tell, deadly):
                    begin = part.slice + 1
                    yield part, size
            except (AgelensError, EOFError, ConnectionError):
                raise
            except Exception as error:  # whatever a picture does, the others go on
                self._failed(error, deadly)
            else:
                return

    def _failed(self, error: Exception, deadly: dict[str, str]) -> None:
        """Take note of a picture that brought an error nobody expected; at the second it is out."""
        if not self._last:  # no picture's doing
            raise error
        what = f"{type(error).__name__}: {error}"
        self._failures[self._last] += 1
        if self._failures[self._last] > MOST_FAILURES:
            raise BatchError(f"{self._last!r} fails again and again: {what}") from error
        if self._failures[self._last] > 1:
            deadly[self._last] = f"reading this picture failed twice: {what}"

    def _slices(
        self, unit: Unit, begin: int, tell: Tell, deadly: Mapping[str, str]
    ) -> Iterator[tuple[Part, int]]:
        items = reader.items(unit, self._job.where)
        items = itertools.islice(items, begin * LARGEST, None)
        for number in itertools.count(begin):
            before = dict(self._predictor.seconds)
            waited = _Waiting(itertools.islice(items, LARGEST))
            rows = self._answer(waited, tell, deadly)
            self._last = ""
            ahead = list(itertools.islice(items, 1))
            items = itertools.chain(ahead, items)
            seconds = {s: t - before[s] for s, t in self._predictor.seconds.items()}
            yield self._commit(unit, number, rows, not ahead, {"fetch": waited.seconds} | seconds)
            if not ahead:
                return

    def _answer(self, items: Iterator[Item], tell: Tell, deadly: Mapping[str, str]) -> Rows:
        rows = Rows(self._job.model_sha256)
        sources = self._usable(items, rows, tell, deadly)
        for answer in self._predictor.predict_stream(sources, chips=self._job.chips):
            rows.add(answer)
            tell(1, len(answer.predictions), int(answer.error is not None))
        return rows

    def _usable(
        self, items: Iterator[Item], rows: Rows, tell: Tell, deadly: Mapping[str, str]
    ) -> Iterator[Source]:
        """Give on what can be predicted; the others become rows at once."""
        for item in items:
            why = item.error or deadly.get(item.name)
            if why is None and item.data is not None:
                self._last = item.name
                self.at(item.name)
                yield Source(item.name, item.data)
            else:
                rows.add_error(item.name, why or "nothing there")
                tell(1, 0, 1)

    def _commit(
        self, unit: Unit, number: int, rows: Rows, last: bool, seconds: dict[str, float]
    ) -> tuple[Part, int]:
        start = time.perf_counter()
        spent = {stage: round(value, 4) for stage, value in seconds.items()}
        part = Part(
            unit.number, number, last, rows.pictures, rows.faces, rows.errors, len(rows), spent
        )
        data = rows.parquet(part.metadata())
        self._store.write(part.name, data)
        spent["write"] = round(time.perf_counter() - start, 4)  # known too late for the footer
        return part, len(data)


class _Waiting:
    """Hands items on and measures how long they let wait."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self.seconds = 0.0

    def __iter__(self) -> "_Waiting":
        return self

    def __next__(self) -> Item:
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start


def model_path(model: str | None) -> str:
    """Give a model as workers are told: a shipped name as it is, else an absolute path."""
    path = locate(model)
    named = {file: name for name, file in shipped().items()}
    return named.get(path, str(Path(path).resolve()))
