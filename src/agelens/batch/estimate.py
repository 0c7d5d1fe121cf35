"""Estimate, from a sample, how much there is to predict and how long it takes: a dry run."""

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agelens.batch import locations
from agelens.batch.listing import Entry, Kind
from agelens.batch.plan import Unit
from agelens.batch.reader import Item, Origin, read_unit
from agelens.batch.rows import Rows
from agelens.batch.worker import Job, load_predictor
from agelens.images.sources import Source

SAMPLE = 200  # pictures
CONTAINERS = 8  # shards and tables that are sampled
_BLOCK = 512  # bytes of a tar header, and of the blocks that content is padded to


@dataclass(frozen=True, slots=True)
class Estimate:
    """The expected cost of a run."""

    pictures: int  # those in shards estimated by their bytes
    shards: int  # 0: `pictures` is exact
    sample: int  # pictures tried
    faces: float  # per picture
    errors: float  # share of pictures
    seconds: float  # per picture and worker
    bytes: float  # of output per picture
    stages: dict[str, float]  # seconds per picture

    def hours(self, workers: int) -> float:
        """Return the hours that so many workers take, without start-up and stragglers."""
        return self.pictures * self.seconds / workers / 3600


def estimate(entries: Iterable[Entry], job: Job, report: Callable[[int], None]) -> Estimate:
    """Count all entries and predict a random sample of up to 200 pictures, on one thread.

    Calls `report` with the number of pictures tried so far.
    """
    chosen: list[Entry] = []
    rng = random.Random(0)  # noqa: S311  (a sample)
    pictures = shards = shard_bytes = 0
    for count, entry in enumerate(entries):
        pictures += entry.pictures or 0
        if entry.kind is Kind.SHARD:
            shards += 1
            shard_bytes += _size(entry, job.origin)
        if len(chosen) < SAMPLE:  # reservoir sampling
            chosen.append(entry)
        elif (place := rng.randrange(count + 1)) < SAMPLE:
            chosen[place] = entry
    rows = Rows(job.model_sha256)
    sample = _Sample(chosen, job.origin)
    predictor = load_predictor(job)
    predictor.predict(np.zeros((64, 64, 3), np.uint8))  # the first call is slower
    before = dict(predictor.seconds)
    start = time.perf_counter()

    def sources() -> Iterator[Source]:
        for item in itertools.islice(sample.items(), SAMPLE):
            if item.data is None:
                rows.add_error(item.name, item.error or "nothing there")
            else:
                yield Source(item.name, item.data)

    for answer in predictor.predict_stream(sources(), chips=job.options.chips):
        rows.add(answer)
        report(rows.pictures)
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
        stages={stage: (t - before[stage]) / tried for stage, t in predictor.seconds.items()},
    )


class _Sample:
    """The pictures of the chosen entries; of a shard or table its first ones."""

    def __init__(self, chosen: list[Entry], origin: Origin) -> None:
        self._pictures = tuple(e.place for e in chosen if e.kind is Kind.PICTURE)
        containers = [e for e in chosen if e.kind is not Kind.PICTURE]
        step = max(1, len(containers) // CONTAINERS)
        self._containers = containers[::step][:CONTAINERS]
        self._origin = origin
        self.shard_pictures = 0
        self.shard_bytes = 0

    def items(self) -> Iterator[Item]:
        """Yield the pictures, and count those in shards and their bytes."""
        if self._pictures:
            yield from read_unit(Unit(0, Kind.PICTURE, self._pictures), self._origin)
        for entry in self._containers:
            unit = Unit(0, entry.kind, (entry.place,), entry.start, entry.stop)
            share = SAMPLE // len(self._containers)
            for item in itertools.islice(read_unit(unit, self._origin), share):
                if entry.kind is Kind.SHARD and isinstance(item.data, bytes):
                    self.shard_pictures += 1
                    self.shard_bytes += (-(-len(item.data) // _BLOCK) + 1) * _BLOCK
                yield item


def _size(entry: Entry, origin: Origin) -> int:
    if entry.size is not None:
        return entry.size
    try:
        return 0 if locations.is_url(entry.place) else Path(origin.base, entry.place).stat().st_size
    except OSError:
        return 0
