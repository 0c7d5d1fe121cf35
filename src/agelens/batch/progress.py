"""The events of a run, and the progress they add up to: for people, and as JSON for programs."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from agelens import provenance
from agelens.batch.ledger import Part, Totals
from agelens.errors import BatchError

MAX_CRASHES = 2  # of workers at one picture
MAX_CRASHES_IN_UNIT = 20  # then the run stops
_WINDOW = 30.0  # seconds over which the current speed is measured


class Predicted(NamedTuple):
    """A worker has predicted some pictures, which are not committed yet."""

    worker: str
    pictures: int
    faces: int
    errors: int
    memory: float = 0  # MB; 0 if unknown


class Committed(NamedTuple):
    """A worker has committed a part."""

    worker: str
    part: Part
    bytes: int
    memory: float = 0  # MB; 0 if unknown


class WorkerLost(NamedTuple):
    """A worker has ended or failed; what it had not committed is done again."""

    worker: str
    reason: str


class Deferred(NamedTuple):
    """A unit cannot be read for now; the next run tries it again."""

    worker: str
    unit: int
    reason: str


Event = Predicted | Committed | WorkerLost | Deferred


class CrashCounter:
    """The crashes of workers in one run, counted by unit and by picture."""

    def __init__(self) -> None:
        self.excluded: dict[str, str] = {}  # pictures at which they crashed too often: reason
        self._by_picture: Counter[str] = Counter()
        self._by_unit: Counter[int] = Counter()

    def add(self, unit: int, picture: str | None, reason: str) -> None:
        """Count a crash, at a picture if known. Raises BatchError for too many in one unit."""
        self._by_unit[unit] += 1
        if self._by_unit[unit] >= MAX_CRASHES_IN_UNIT:
            raise BatchError(
                f"{MAX_CRASHES_IN_UNIT} workers ended in unit {unit}, the last one: {reason}; "
                "committed parts are kept"
            )
        if picture is not None:
            self._by_picture[picture] += 1
            if self._by_picture[picture] >= MAX_CRASHES:
                self.excluded[picture] = f"the process that read this picture ended twice: {reason}"


@dataclass(slots=True)
class Counts:
    """Pictures, faces in them, and pictures that could not be used."""

    pictures: int = 0
    faces: int = 0
    errors: int = 0

    def add(self, other: "Part | Predicted | Counts") -> None:
        """Add other counts."""
        self.pictures += other.pictures
        self.faces += other.faces
        self.errors += other.errors


class Progress:
    """The progress of a run: what is committed, by this run or before, and what is under way."""

    def __init__(
        self, totals: Totals, committed: Iterable[Part], engine: str, workers: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Count what is committed already, and start the clock; `workers` None is one per core."""
        self.totals, self.engine, self.workers = totals, engine, workers
        self.parts = self.units_done = self.workers_lost = 0
        self.last_loss: str | None = None
        self.deferred: dict[int, str] = {}
        self.seconds: dict[str, float] = {}  # of this run, by stage
        self._committed = Counts()
        self._uncommitted: defaultdict[str, Counts] = defaultdict(Counts)  # by worker
        self._memory: dict[str, float] = {}
        for part in committed:
            self._commit(part)
        self._clock, self._started = clock, clock()
        self._share_before = self.share
        self._samples = deque([(self._started, 0, 0)])  # pictures and faces of this run

    def _commit(self, part: Part) -> None:
        self._committed.add(part)
        self.parts += 1
        self.units_done += part.last

    def update(self, event: Event) -> None:
        """Count an event of the engine."""
        match event:
            case Predicted():
                self._uncommitted[event.worker].add(event)
                self._measure(event.pictures, event.faces)
                self._memory[event.worker] = event.memory
            case Committed(part=part):  # of pictures that were not all reported; by Ray none
                known = self._uncommitted.pop(event.worker, Counts())
                self._measure(part.pictures - known.pictures, part.faces - known.faces)
                self._memory[event.worker] = event.memory
                self._commit(part)
                for stage, seconds in part.seconds.items():
                    self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
            case WorkerLost():
                self._uncommitted.pop(event.worker, None)
                self._memory.pop(event.worker, None)
                self.workers_lost += 1
                self.last_loss = event.reason
            case Deferred():
                self._uncommitted.pop(event.worker, None)
                self.deferred[event.unit] = event.reason

    def _measure(self, pictures: int, faces: int) -> None:
        now, (_, pictures_before, faces_before) = self._clock(), self._samples[-1]
        self._samples.append((now, pictures_before + pictures, faces_before + faces))
        while self._samples[1][0] < now - _WINDOW:
            self._samples.popleft()

    @property
    def counts(self) -> Counts:
        """The pictures predicted by this run and earlier ones, their faces and errors."""
        total = Counts()
        for counts in (self._committed, *self._uncommitted.values()):
            total.add(counts)
        return total

    @property
    def share(self) -> float:
        """The finished share, 0 to 1: of pictures, or of units if shards hide their number."""
        if self.totals.shards or not self.totals.pictures:
            return self.units_done / self.totals.units if self.totals.units else 1.0
        return min(1.0, self.counts.pictures / self.totals.pictures)

    @property
    def speed(self) -> tuple[float, float]:
        """Pictures and faces per second, over the last half minute."""
        start, pictures, faces = self._samples[0]
        seconds = max(self._clock() - start, 1e-9)
        _, pictures_now, faces_now = self._samples[-1]
        return (pictures_now - pictures) / seconds, (faces_now - faces) / seconds

    @property
    def seconds_left(self) -> float | None:
        """The expected seconds to the end, None before anything is finished."""
        done = self.share - self._share_before
        return (self._clock() - self._started) * (1 - self.share) / done if done > 0 else None

    def to_dict(self, state: str) -> dict[str, Any]:
        """Return all of it as plain values; `state` is running, stopped, failed or finished."""
        counts, left = self.counts, self.seconds_left
        pictures, faces = self.speed
        return {
            "state": state, "updated": provenance.now(),
            "engine": self.engine, "workers": self.workers,
            **asdict(counts),
            "pictures_in_all": None if self.totals.shards else self.totals.pictures,
            "share_done": round(self.share, 4),
            "seconds": round(self._clock() - self._started, 1),
            "seconds_left": None if left is None else round(left),
            "pictures_per_second": round(pictures, 2), "faces_per_second": round(faces, 2),
            "parts": self.parts, "units_done": self.units_done, "units": self.totals.units,
            "units_deferred": len(self.deferred),
            "workers_lost": self.workers_lost, "last_loss": self.last_loss,
            "seconds_by_stage": {stage: round(value, 2) for stage, value in self.seconds.items()},
            "memory_mb": {worker: round(value) for worker, value in self._memory.items()},
        }  # fmt: skip
