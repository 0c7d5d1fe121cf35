"""Micro-batching: a bounded queue for the pictures of all requests, and workers that batch them.

All pictures of a request are accepted or none, and only while a new one is expected to wait less
than `Settings.wait`. A worker takes the first waiting picture, and its share of those that arrive
until the batch is full or the first one has waited `Settings.batch_wait`. Under load the next
batches fill while the workers are busy, and nothing waits on purpose.
"""

import asyncio
import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic

from agelens.errors import AgelensError, PictureTooLarge
from agelens.images import decode
from agelens.predictor import Predictor
from agelens.provenance import available_cores
from agelens.serving.middleware import Metrics
from agelens.serving.request_body import Upload
from agelens.serving.schema import Problem, internal_error
from agelens.serving.settings import Settings

log = logging.getLogger("agelens.serving")

MAX_BATCH_SECONDS = 0.25  # all pictures of a batch are answered at its end


@dataclass(slots=True, eq=False)
class _Job:
    upload: Upload
    arrived: float = field(default_factory=monotonic)  # seconds
    done: asyncio.Future[None] = field(default_factory=asyncio.Future)


class MicroBatcher:
    """Predicts pictures in batches with one Predictor; for use on one event loop."""

    def __init__(self, predictor: Predictor, settings: Settings, metrics: Metrics) -> None:
        self.predictor = predictor
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
        self._workers = [asyncio.create_task(self._work()) for _ in range(count)]

    def check_capacity(self, pictures: int = 1) -> None:
        """Raise Problem 429 if so many pictures do not fit the queue, or would wait too long."""
        waiting, workers, queue = self._waiting, len(self._workers), self._settings.queue
        expected = waiting * self._picture_seconds / workers
        late = waiting >= workers and expected > self._settings.wait
        if late or waiting + pictures > queue:
            seconds = max(1, math.ceil(expected))
            message = f"{waiting} pictures wait already: try again in {seconds} s"
            details = {"waiting": waiting, "queue": queue}
            raise Problem(429, "busy", message, details, Retry_After=str(seconds))

    async def predict(self, uploads: Sequence[Upload]) -> None:
        """Set the predictions of encoded pictures; one that fails gets its problem.

        Pictures that have a problem already are left alone. Raises Problem 429 if the queue is
        full, 503 after the time limit or while stopping.
        """
        if self._closed:
            raise Problem(503, "stopping", "the service is stopping", Retry_After="5")
        jobs = [_Job(one) for one in uploads if one.problem is None]
        self.check_capacity(len(jobs))
        for job in jobs:
            self._queue.put_nowait(job)
        self._count(len(jobs))
        try:
            async with asyncio.timeout(self._settings.seconds):
                for job in jobs:
                    await job.done
        except TimeoutError:
            seconds = self._settings.seconds
            message = f"no answer within {seconds:g} s: try again, or send less at once"
            raise Problem(503, "timeout", message, {"seconds": seconds}, Retry_After="5") from None
        finally:  # after a timeout, or if the client has gone: drop what waits
            for job in jobs:
                job.done.cancel()

    async def close(self) -> None:
        """Finish the accepted pictures, then stop the workers."""
        self._closed = True
        for _ in self._workers:
            self._queue.put_nowait(None)
        await asyncio.gather(*self._workers)
        self._threads.shutdown()

    def _count(self, more: int) -> None:
        self._waiting += more
        self._metrics.queue.set(self._waiting)

    async def _work(self) -> None:
        running = True
        while running:
            batch, running = await self._next_batch()
            self._count(-len(batch))
            batch = [job for job in batch if not job.done.done()]
            if not batch:
                continue
            start = monotonic()
            self._metrics.batch.observe(len(batch))
            for job in batch:
                self._metrics.waited.observe(start - job.arrived)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._run, batch)
            self._batches += 1
            seconds = (monotonic() - start) / len(batch)
            weight = max(0.2, 1 / self._batches)
            self._picture_seconds += weight * (seconds - self._picture_seconds)
            for job in batch:
                if not job.done.done():
                    job.done.set_result(None)

    async def _next_batch(self) -> tuple[list[_Job], bool]:
        """Wait for a batch; return it, and whether more may come."""
        batch: list[_Job] = []
        # as many as one worker processes in MAX_BATCH_SECONDS
        most = max(1, math.floor(MAX_BATCH_SECONDS / self._picture_seconds))
        while len(batch) < min(self._settings.batch, most):
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

    def _run(self, batch: Sequence[_Job]) -> None:
        """Predict a batch in a worker's thread; an error in one picture affects only that one."""
        try:
            self._predict_batch(batch)
        except Exception:
            if len(batch) == 1:
                log.exception("a picture could not be predicted")
                batch[0].upload.problem = internal_error()
            else:
                for job in batch:
                    self._run([job])

    def _predict_batch(self, batch: Sequence[_Job]) -> None:
        readable: list[Upload] = []

        def pictures() -> Iterator[decode.Picture]:
            # Decoded one by one as the predictor takes them, so that few are in memory at once.
            for job in batch:
                if job.done.done():  # cancelled meanwhile
                    continue
                try:
                    picture = decode.read(job.upload.data, self._limits)
                except AgelensError as error:
                    large = isinstance(error, PictureTooLarge)
                    kind = (413, "picture_too_large") if large else (422, "bad_picture")
                    job.upload.problem = Problem(*kind, str(error))
                    continue
                job.upload.height, job.upload.width = picture.shape[:2]
                readable.append(job.upload)
                yield picture

        limit = self._settings.faces
        for upload, found in zip(readable, self.predictor.predict(pictures()), strict=True):
            if (faces := len(found)) > limit:
                message = f"picture of {faces} faces: the limit is {limit}; cut it into parts"
                details = {"faces": faces, "limit": limit}
                upload.problem = Problem(422, "too_many_faces", message, details)
            else:
                upload.predictions = found
