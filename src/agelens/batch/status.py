"""How far a run is: for the person who waits, and as JSON for machines."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agelens import provenance
from agelens.batch.events import Committed, Deferred, Event, Lost, Memory, Seen
from agelens.batch.ledger import Ledger, Part
from agelens.batch.plan import Totals

FILE = "status.json"
_WINDOW = 30.0  # seconds over which the present speed is taken


@dataclass(slots=True)
class _Counts:
    pictures: int = 0
    faces: int = 0
    errors: int = 0

    def add(self, pictures: int, faces: int, errors: int) -> None:
        self.pictures += pictures
        self.faces += faces
        self.errors += errors


@dataclass(slots=True)
class Progress:
    """Counts of a run: what was committed before and is now, and what is under way."""

    totals: Totals
    engine: str
    workers: int | None  # None: as many as the cluster has cores
    clock: Callable[[], float] = time.monotonic
    parts: int = 0
    units_done: int = 0
    lost: int = 0
    last_loss: str | None = None
    deferred: dict[int, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # of this run, by stage
    _done: _Counts = field(default_factory=_Counts)
    _here: _Counts = field(default_factory=_Counts)  # answered in this run
    _open: dict[str, _Counts] = field(default_factory=dict)  # not committed yet, by worker
    _memory: dict[str, float] = field(default_factory=dict)
    _share_before: float = 0.0
    _begun: float = 0.0
    _marks: deque[tuple[float, int, int]] = field(default_factory=deque)

    def begin(self, ledger: Ledger) -> None:
        """Take over what is committed, and start the clock."""
        for part in ledger.parts():
            self._commit(part)
        self._begun = self.clock()
        self._share_before = self.share
        self._marks.append((self._begun, 0, 0))

    def _commit(self, part: Part) -> None:
        self._done.add(part.pictures, part.faces, part.errors)
        self.parts += 1
        self.units_done += part.last

    def take(self, event: Event) -> None:
        """Take an event of the engine."""
        match event:
            case Seen():
                counts = self._open.setdefault(event.worker, _Counts())
                counts.add(event.pictures, event.faces, event.errors)
                self._mark(event.pictures, event.faces, event.errors)
            case Committed(part=part):
                if self._open.pop(event.worker, None) is None:  # an engine that tells of parts only
                    self._mark(part.pictures, part.faces, part.errors)
                self._commit(part)
                for stage, seconds in part.seconds.items():
                    self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
            case Lost():
                self._open.pop(event.worker, None)
                self._memory.pop(event.worker, None)
                self.lost += 1
                self.last_loss = event.why
            case Deferred():
                self._open.pop(event.worker, None)
                self.deferred[event.unit] = event.why
            case Memory():
                self._memory[event.worker] = event.megabytes

    def _mark(self, pictures: int, faces: int, errors: int) -> None:
        self._here.add(pictures, faces, errors)
        now = self.clock()
        self._marks.append((now, self._here.pictures, self._here.faces))
        while self._marks[1][0] < now - _WINDOW:
            self._marks.popleft()

    @property
    def pictures(self) -> int:
        """Pictures that have an answer, of this run and earlier ones."""
        return self._done.pictures + sum(counts.pictures for counts in self._open.values())

    @property
    def faces(self) -> int:
        """Faces found in them."""
        return self._done.faces + sum(counts.faces for counts in self._open.values())

    @property
    def errors(self) -> int:
        """Pictures among them that could not be used."""
        return self._done.errors + sum(counts.errors for counts in self._open.values())

    @property
    def share(self) -> float:
        """The share that is done, 0 to 1: of pictures, or of units where shards hide them."""
        if self.totals.shards or not self.totals.pictures:
            return self.units_done / self.totals.units if self.totals.units else 1.0
        return min(1.0, self.pictures / self.totals.pictures)

    @property
    def speed(self) -> tuple[float, float]:
        """Pictures and faces per second, over the last half minute."""
        then, pictures, faces = self._marks[0]
        seconds = max(self.clock() - then, 1e-9)
        return (self._here.pictures - pictures) / seconds, (self._here.faces - faces) / seconds

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end at this run's speed; None before anything is done."""
        here = self.share - self._share_before
        if here <= 0:
            return None
        return (self.clock() - self._begun) * (1 - self.share) / here

    def to_dict(self, state: str) -> dict[str, Any]:
        """Give all of it as plain values; `state` is running, stopped, failed or finished."""
        pictures, faces = self.speed
        left = self.seconds_left
        return {
            "state": state,
            "updated": provenance.now(),
            "engine": self.engine,
            "workers": self.workers,
            "pictures": self.pictures,
            "pictures_in_all": None if self.totals.shards else self.totals.pictures,
            "faces": self.faces,
            "errors": self.errors,
            "share_done": round(self.share, 4),
            "seconds": round(self.clock() - self._begun, 1),
            "seconds_left": None if left is None else round(left),
            "pictures_per_second": round(pictures, 2),
            "faces_per_second": round(faces, 2),
            "parts": self.parts,
            "units_done": self.units_done,
            "units": self.totals.units,
            "units_deferred": len(self.deferred),
            "workers_lost": self.lost,
            "last_loss": self.last_loss,
            "seconds_by_stage": {stage: round(value, 2) for stage, value in self.seconds.items()},
            "memory_mb": {worker: round(value) for worker, value in self._memory.items()},
        }
