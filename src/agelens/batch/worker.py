"""A worker of either engine: process units, slice by slice, into committed parts.

`agelens.predictor` decodes the pictures, finds the faces and predicts them, on one thread: there
are as many workers as cores. Each slice of a unit becomes one part.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from agelens.batch.ledger import Part
from agelens.batch.plan import MAX_PICTURES, Unit
from agelens.batch.reader import Item, Origin, read_unit
from agelens.batch.rows import Rows
from agelens.batch.store import open_store
from agelens.errors import AgelensError, BatchError
from agelens.images.sources import Source
from agelens.inference.runtime import locate, shipped
from agelens.predictor import Predictor, load
from agelens.stopwatch import Stopwatch

Report = Callable[[int, int, int], None]
"""Called with the pictures, faces and errors since the last call."""
MAX_FAILURES = 5  # at one picture, before something else must be wrong


@dataclass(frozen=True, slots=True)
class Options:
    """How pictures are predicted; another value makes another run."""

    flip: bool | None = None
    longest: int = 1280
    gender_threshold: float = 0.5
    min_face: float = 0
    max_faces: int | None = None
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


def fingerprint(model: str | None) -> str:
    """Return the SHA-256 of a model's file. Raises ModelError if there is no such model."""
    with locate(model).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def portable_name(model: str | None) -> str:
    """Return a model as workers load it: a shipped name, or an absolute path."""
    path = locate(model)
    names = {file: name for name, file in shipped().items()}
    return names.get(path, str(path.resolve()))


def load_predictor(job: Job) -> Predictor:
    """Load the model of a job, for one thread."""
    settings = asdict(job.options)
    del settings["chips"]
    return load(job.model, threads=1, **settings)


class Worker:
    """A loaded model, and the store for its predictions."""

    def __init__(self, job: Job) -> None:
        """Load the model. Raises BatchError if it is not the one the run was started with."""
        self._job = job
        found = fingerprint(job.model)
        if found != job.model_sha256:
            raise BatchError(
                f"model {job.model!r} has SHA-256 {found[:12]} here, but {job.model_sha256[:12]} "
                "where the run was started: install the same version, or copy the same file here"
            )
        self._predictor = load_predictor(job)
        self._store = open_store(job.output)
        self.on_picture: Callable[[str], None] = lambda name: None
        """Called with the name of each picture before it is read."""
        self._current = ""  # the picture that was read last
        self._failures: Counter[str] = Counter()

    def process(
        self, unit: Unit, first: int, report: Report, excluded: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Part, int]]:
        """Predict a unit from slice `first` on; yield each part once committed, with its bytes.

        Pictures in `excluded` are not read; the mapping holds the reasons. Raises
        SourceUnreachable if the source does not respond and BatchError if nothing can be written;
        parts that were yielded before stay committed.
        """
        excluded = dict(excluded or {})
        while True:
            try:
                for part, size in self._slices(unit, first, report, excluded):
                    first = part.slice + 1
                    yield part, size
            except (AgelensError, EOFError, ConnectionError):
                raise
            except Exception as error:  # whatever one picture does, the others are predicted
                self._count_failure(error, excluded)
            else:
                return

    def _count_failure(self, error: Exception, excluded: dict[str, str]) -> None:
        """Count an unexpected error of the current picture, and exclude it at its second."""
        picture = self._current
        if not picture:  # it was not a picture
            raise error
        reason = f"{type(error).__name__}: {error}"
        self._failures[picture] += 1
        if self._failures[picture] > MAX_FAILURES:
            raise BatchError(f"{picture!r} fails again and again: {reason}") from error
        if self._failures[picture] > 1:
            excluded[picture] = f"reading this picture failed twice: {reason}"

    def _slices(
        self, unit: Unit, first: int, report: Report, excluded: Mapping[str, str]
    ) -> Iterator[tuple[Part, int]]:
        items: Iterator[Item] = read_unit(unit, self._job.origin)
        items = itertools.islice(items, first * MAX_PICTURES, None)
        for number in itertools.count(first):
            before = dict(self._predictor.seconds)
            stopwatch = Stopwatch(("fetch", "write"))
            slice_ = _timed(itertools.islice(items, MAX_PICTURES), stopwatch)
            rows = Rows(self._job.model_sha256)
            sources = self._readable(slice_, rows, report, excluded)
            chips = self._job.options.chips
            for answer in self._predictor.predict_stream(sources, chips=chips):
                rows.add(answer)
                report(1, len(answer.predictions), int(answer.error is not None))
            self._current = ""
            following = list(itertools.islice(items, 1))
            items = itertools.chain(following, items)
            seconds = {"fetch": stopwatch["fetch"]}
            seconds |= {s: t - before[s] for s, t in self._predictor.seconds.items()}
            seconds = {stage: round(value, 4) for stage, value in seconds.items()}
            part = Part(
                unit.number, number, not following,
                rows.pictures, rows.faces, rows.errors, len(rows), seconds,
            )  # fmt: skip
            with stopwatch.timed("write"):
                data = rows.parquet(part.metadata())
                self._store.write(part.name, data)
            seconds["write"] = round(stopwatch["write"], 4)  # known too late for the footer
            yield part, len(data)
            if not following:
                return

    def _readable(
        self, items: Iterator[Item], rows: Rows, report: Report, excluded: Mapping[str, str]
    ) -> Iterator[Source]:
        """Yield what can be predicted; add a row for what cannot."""
        for item in items:
            reason = item.error or excluded.get(item.name)
            if reason is None and item.data is not None:
                self._current = item.name
                self.on_picture(item.name)
                yield Source(item.name, item.data)
            else:
                rows.add_error(item.name, reason or "nothing there")
                report(1, 0, 1)


def _timed(items: Iterator[Item], stopwatch: Stopwatch) -> Iterator[Item]:
    """Yield the items, and measure the wait for them as "fetch"."""
    while True:
        with stopwatch.timed("fetch"):
            item = next(items, None)
        if item is None:
            return
        yield item
