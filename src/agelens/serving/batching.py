"""Micro-batching: a bounded queue for the pictures of all requests, and workers that batch them.

All pictures of a request are accepted or none, and only while a new one is expected to wait less
than `Settings.wait`, so accepted requests are answered soon whatever the load. There is one worker
per thread. A worker takes the first waiting picture, and its share of the others that arrive
until the batch is full or the first one has waited `Settings.batch_wait`. The next batches
collect while it works: under load they fill by themselves, and nothing waits on purpose.
"""

import asyncio
import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from agelens.errors import AgelensError
from agelens.images import decode
from agelens.predictor import Predictor
from agelens.provenance import available_cores
from agelens.results import Prediction
from agelens.serving.metrics import Metrics
from agelens.serving.problems import Problem, internal_error, picture_problem, timeout
from agelens.serving.settings import Settings

log = logging.getLogger("agelens.serving")

MAX_BATCH_SECONDS = 0.25  # all pictures of a batch are answered at its end


@dataclass(frozen=True, slots=True, eq=False)
class PictureResult:
    """The predictions of one picture, or its problem."""

    predictions: list[Prediction]  # largest face first
    width: int  # pixels of the upright picture; 0 if it could not be read
    height: int
    problem: Problem | None = None

    @classmethod
    def failed(cls, problem: Problem) -> "PictureResult":
        """Return the result of a picture that was not predicted."""
        return cls([], 0, 0, problem)


@dataclass(slots=True, eq=False)
class _Job:
    data: bytes
    arrived: float  # monotonic seconds
    result: asyncio.Future[PictureResult]


class MicroBatcher:
    """Predicts pictures in batches with one Predictor; for use on one event loop."""

    def __init__(self, predictor: Predictor, settings: Settings, metrics: Metrics) -> None:
        self._predictor = predictor
        self._settings = settings
        self._metrics = metrics
        self._limits = decode.Limits(pixels=settings.pixels, bytes=settings.request_bytes)
        self._queue: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._waiting = 0  # pictures
        self._picture_seconds = 0.05  # per picture and worker: a guess, then a running mean
        self._batches = 0  # finished
        self._closed = False
        count = settings.threads or available_cores()
        self._threads = ThreadPoolExecutor(count, "agelens-batch")
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work()) for _ in range(count)]

    def check_capacity(self, pictures: int = 1) -> None:
        """Raise Problem 429 if so many pictures do not fit the queue, or would wait too long."""
        workers = len(self._workers)
        expected = self._waiting * self._picture_seconds / workers
        late = self._waiting >= workers and expected > self._settings.wait
        if late or self._waiting + pictures > self._settings.queue:
            seconds = max(1, math.ceil(expected))
            raise Problem(
                429,
                "busy",
                f"{self._waiting} pictures wait already: try again in {seconds} s",
                {"waiting": self._waiting, "queue": self._settings.queue},
                retry_after=seconds,
            )

    async def predict(self, pictures: Sequence[bytes]) -> list[PictureResult]:
        """Predict encoded pictures; the result of one that fails has its problem.

        Raises Problem 429 if the queue is full, 503 after the time limit or while stopping.
        """
        if self._closed:
            raise Problem(503, "stopping", "the service is stopping", retry_after=5)
        self.check_capacity(len(pictures))
        loop = asyncio.get_running_loop()
        now = monotonic()
        jobs = [_Job(data, now, loop.create_future()) for data in pictures]
        for job in jobs:
            self._queue.put_nowait(job)
        self._count(len(jobs))
        try:
            async with asyncio.timeout(self._settings.seconds):
                return [await job.result for job in jobs]
        except TimeoutError:
            raise timeout(self._settings.seconds) from None
        finally:  # after a timeout, or if the client has gone: drop what waits
            for job in jobs:
                job.result.cancel()

    async def close(self) -> None:
        """Finish the accepted pictures, then stop the workers."""
        if not self._closed:
            self._closed = True
            for _ in self._workers:
                self._queue.put_nowait(None)
        await asyncio.gather(*self._workers)
        self._threads.shutdown()

    def _count(self, more: int) -> None:
        self._waiting += more
        self._metrics.queue.set(self._waiting)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        running = True
        while running:
            batch, running = await self._next_batch()
            self._count(-len(batch))
            batch = [job for job in batch if not job.result.done()]
            if not batch:
                continue
            start = monotonic()
            self._metrics.batch.observe(len(batch))
            for job in batch:
                self._metrics.waited.observe(start - job.arrived)
            results = await loop.run_in_executor(self._threads, self._run, batch)
            self._batches += 1
            seconds = (monotonic() - start) / len(batch)
            weight = max(0.2, 1 / self._batches)
            self._picture_seconds += weight * (seconds - self._picture_seconds)
            for job, result in zip(batch, results, strict=True):
                if not job.result.done():
                    job.result.set_result(result)

    async def _next_batch(self) -> tuple[list[_Job], bool]:
        """Wait for a batch; return it, and whether more may come."""
        batch: list[_Job] = []
        # as many as one worker processes in MAX_BATCH_SECONDS
        most = math.floor(MAX_BATCH_SECONDS / self._picture_seconds)
        most = min(self._settings.batch, max(1, most))
        while len(batch) < most:
            try:
                if not batch:
                    job = await self._queue.get()
                elif self._queue.empty():
                    left = batch[0].arrived + self._settings.batch_wait - monotonic()
                    async with asyncio.timeout(max(0.0, left)):
                        job = await self._queue.get()
                elif len(batch) * len(self._workers) < len(batch) + self._queue.qsize():
                    job = self._queue.get_nowait()
                else:  # the rest is the share of the other workers
                    break
            except TimeoutError:
                break
            if job is None:
                return batch, False
            batch.append(job)
        return batch, True

    def _run(self, batch: Sequence[_Job]) -> list[PictureResult]:
        """Predict a batch in a worker's thread; an error in one picture affects only that one."""
        try:
            return self._predict_batch(batch)
        except Exception:
            if len(batch) == 1:
                log.exception("a picture could not be predicted")
                return [PictureResult.failed(internal_error())]
        return [result for job in batch for result in self._run([job])]

    def _predict_batch(self, batch: Sequence[_Job]) -> list[PictureResult]:
        results: dict[int, PictureResult] = {}
        sizes: list[tuple[int, int, int]] = []  # index, width, height

        def pictures() -> Iterator[decode.Picture]:
            # Decoded one by one as the predictor takes them, so that few are in memory at once.
            for index, job in enumerate(batch):
                if job.result.done():  # cancelled meanwhile
                    results[index] = PictureResult.failed(timeout(self._settings.seconds))
                    continue
                try:
                    picture = decode.read(job.data, self._limits)
                except AgelensError as error:
                    results[index] = PictureResult.failed(picture_problem(error))
                    continue
                sizes.append((index, picture.shape[1], picture.shape[0]))
                yield picture

        answers = self._predictor.predict(pictures())
        most = self._settings.faces
        for (index, width, height), found in zip(sizes, answers, strict=True):
            results[index] = PictureResult(found, width, height)
            if len(found) > most:
                message = f"picture of {len(found)} faces: the limit is {most}; cut it into parts"
                details = {"faces": len(found), "limit": most}
                problem = Problem(422, "too_many_faces", message, details)
                results[index] = PictureResult([], width, height, problem)
        return [results[index] for index in range(len(batch))]
