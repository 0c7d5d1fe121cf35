"""What an engine tells while it works."""

from dataclasses import dataclass

from agelens.batch.ledger import Part


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker has answered some pictures, which are not committed yet."""

    worker: str
    pictures: int
    faces: int
    errors: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A worker has put a part in its place."""

    worker: str
    part: Part
    bytes: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker has ended or failed; what it had not committed is done again."""

    worker: str
    why: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """A unit cannot be read for now; the next run tries it again."""

    worker: str
    unit: int
    why: str


@dataclass(frozen=True, slots=True)
class Memory:
    """How much memory a worker takes, in MB."""

    worker: str
    megabytes: float


Event = Seen | Committed | Lost | Deferred | Memory
