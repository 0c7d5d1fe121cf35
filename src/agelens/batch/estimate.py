"""A dry run: how much there is, and what it would take, by a sample."""

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agelens.batch import locations, reader
from agelens.batch.listing import Entry, Kind
from agelens.batch.pipeline import Job, predictor
from agelens.batch.plan import Unit
from agelens.batch.reader import Item, Where
from agelens.batch.rows import Rows
from agelens.images.sources import Source

SAMPLE = 200  # pictures
CONTAINERS = 8  # shards and tables looked into
_BLOCK = 512  # of a tar: a member's header, and what its content is rounded up to


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take."""

    pictures: int  # those in shards by their bytes
    shards: int  # 0: `pictures` is exact
    sample: int  # pictures tried
    faces: float  # per picture
    errors: float  # share of pictures
    seconds: float  # per picture and worker
    bytes: float  # of output per picture
    stages: dict[str, float]  # seconds per picture

    def hours(self, workers: int) -> float:
        """Give the time that so many workers would take, start and stragglers left out."""
        return self.pictures * self.seconds / workers / 3600


def estimate(entries: Iterable[Entry], job: Job, tell: Callable[[int], None]) -> Estimate:
    """Count all entries and answer up to 200 pictures, drawn evenly, on one thread.

    `tell` is called with the number of pictures tried so far.
    """
    chosen: list[Entry] = []
    chance = random.Random(0)  # noqa: S311  (a sample)
    pictures = shards = shard_bytes = 0
    for count, entry in enumerate(entries):
        pictures += entry.pictures or 0
        if entry.kind is Kind.SHARD:
            shards += 1
            shard_bytes += _size(entry, job.where)
        if len(chosen) < SAMPLE:
            chosen.append(entry)
        elif (place := chance.randrange(count + 1)) < SAMPLE:
            chosen[place] = entry
    rows = Rows(job.model_sha256)
    sample = _Sample(chosen, job.where, rows)
    asked = predictor(job)
    asked.predict(np.zeros((64, 64, 3), np.uint8))  # the first call is slower
    before = dict(asked.seconds)
    start = time.perf_counter()
    for answer in asked.predict_stream(sample.sources(), chips=job.chips):
        rows.add(answer)
        tell(rows.pictures)
    tried = max(1, rows.pictures)
    seconds = (time.perf_counter() - start) / tried
    if shards and sample.shard_pictures:
        pictures += round(shard_bytes / (sample.shard_bytes / sample.shard_pictures))
    return Estimate(
        pictures=pictures,
        shards=shards,
        sample=rows.pictures,
        faces=rows.faces / tried,
        errors=rows.errors / tried,
        seconds=seconds,
        bytes=len(rows.parquet({})) / tried,
        stages={stage: (t - before[stage]) / tried for stage, t in asked.seconds.items()},
    )


class _Sample:
    """Pictures of the chosen entries, of a shard or table its first ones."""

    def __init__(self, chosen: list[Entry], where: Where, rows: Rows) -> None:
        self._single = [e.place for e in chosen if e.kind is Kind.PICTURE]
        several = [e for e in chosen if e.kind is not Kind.PICTURE]
        step = max(1, len(several) // CONTAINERS)
        self._several = several[::step][:CONTAINERS]
        self._where = where
        self._rows = rows
        self.shard_pictures = 0
        self.shard_bytes = 0

    def sources(self) -> Iterator[Source]:
        """Give what can be predicted; what cannot becomes a row at once."""
        for item in itertools.islice(self._items(), SAMPLE):
            if item.data is None:
                self._rows.add_error(item.name, item.error or "nothing there")
            else:
                yield Source(item.name, item.data)

    def _items(self) -> Iterator[Item]:
        if self._single:
            yield from reader.items(Unit(0, Kind.PICTURE, tuple(self._single)), self._where)
        for entry in self._several:
            unit = Unit(0, entry.kind, (entry.place,), entry.start, entry.stop)
            share = SAMPLE // len(self._several)
            for item in itertools.islice(reader.items(unit, self._where), share):
                if entry.kind is Kind.SHARD and isinstance(item.data, bytes):
                    self.shard_pictures += 1
                    self.shard_bytes += (-(-len(item.data) // _BLOCK) + 1) * _BLOCK
                yield item


def _size(entry: Entry, where: Where) -> int:
    if entry.size is not None:
        return entry.size
    if locations.is_url(entry.place):
        return 0
    try:
        return Path(where.base, entry.place).stat().st_size
    except OSError:
        return 0
