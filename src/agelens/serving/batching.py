"""Workers that join the pictures of many requests: bounded queue, bounded wait.

Pictures are accepted all or none, and only while a new one could be expected to wait less than
`wait`: what is accepted is answered soon, whatever the load. Each worker, one per
thread, takes the first picture that waits, and its share of the others that come until the
batch is full or the first has waited `batch_wait`. While batches are worked on the next ones
gather, so under load they fill by themselves and nothing waits on purpose.
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
from agelens.serving.problems import Problem, internal, of_picture, timed_out
from agelens.serving.settings import Settings

log = logging.getLogger("agelens.serving")

LONGEST_BATCH = 0.25  # seconds: all pictures of a batch are answered at its end


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one picture."""

    predictions: list[Prediction]  # largest face first
    width: int  # pixels of the upright picture; 0 where it could not be read
    height: int
    problem: Problem | None = None


@dataclass(slots=True, eq=False)
class _Job:
    data: bytes
    arrived: float  # monotonic seconds
    outcome: asyncio.Future[Outcome]


class Batcher:
    """Answers pictures with one Predictor; to be used on one event loop."""

    def __init__(self, predictor: Predictor, settings: Settings, metrics: Metrics) -> None:
        self._predictor = predictor
        self._settings = settings
        self._metrics = metrics
        self._limits = decode.Limits(pixels=settings.pixels, bytes=settings.request_bytes)
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._waiting = 0
        self._pace = 0.05  # seconds a picture takes a worker: a guess, then a running mean
        self._done = 0  # batches
        self._closed = False
        count = settings.threads or available_cores()
        self._threads = ThreadPoolExecutor(count, "agelens-batch")
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work()) for _ in range(count)]

    def check(self, pictures: int = 1) -> None:
        """Raise Problem 429 where so many pictures would not fit the queue, or wait too long."""
        workers = len(self._workers)
        expected = self._waiting * self._pace / workers
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

    async def answer(self, pictures: Sequence[bytes]) -> list[Outcome]:
        """Predict encoded pictures; what fails has its problem.

        Raises Problem 429 where the queue has no room, 503 over the time limit or
        when the service is stopping.
        """
        if self._closed:
            raise Problem(503, "stopping", "the service is stopping", retry_after=5)
        self.check(len(pictures))
        loop = asyncio.get_running_loop()
        now = monotonic()
        jobs = [_Job(data, now, loop.create_future()) for data in pictures]
        for job in jobs:
            self._jobs.put_nowait(job)
        self._count(len(jobs))
        try:
            async with asyncio.timeout(self._settings.seconds):
                return [await job.outcome for job in jobs]
        except TimeoutError:
            raise timed_out(self._settings.seconds) from None
        finally:  # after a time-out, or when the client went away: what waits is not worked on
            for job in jobs:
                job.outcome.cancel()

    async def close(self) -> None:
        """Finish what was accepted, then end."""
        if not self._closed:
            self._closed = True
            for _ in self._workers:
                self._jobs.put_nowait(None)
        await asyncio.gather(*self._workers)
        self._threads.shutdown()

    def _count(self, more: int) -> None:
        self._waiting += more
        self._metrics.queue.set(self._waiting)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        going = True
        while going:
            batch, going = await self._gather()
            self._count(-len(batch))
            batch = [job for job in batch if not job.outcome.done()]
            if not batch:
                continue
            start = monotonic()
            self._metrics.batch.observe(len(batch))
            for job in batch:
                self._metrics.waited.observe(start - job.arrived)
            outcomes = await loop.run_in_executor(self._threads, self._run, batch)
            self._done += 1
            newest = (monotonic() - start) / len(batch)
            self._pace += max(0.2, 1 / self._done) * (newest - self._pace)
            for job, outcome in zip(batch, outcomes, strict=True):
                if not job.outcome.done():
                    job.outcome.set_result(outcome)

    async def _gather(self) -> tuple[list[_Job], bool]:
        """Wait for a batch; False once nothing more will come."""
        batch: list[_Job] = []
        # What one worker does in LONGEST_BATCH.
        most = min(self._settings.batch, max(1, math.floor(LONGEST_BATCH / self._pace)))
        while len(batch) < most:
            try:
                if not batch:
                    job = await self._jobs.get()
                elif self._jobs.empty():
                    left = batch[0].arrived + self._settings.batch_wait - monotonic()
                    async with asyncio.timeout(max(0.0, left)):
                        job = await self._jobs.get()
                elif len(batch) * len(self._workers) < len(batch) + self._jobs.qsize():
                    job = self._jobs.get_nowait()
                else:  # the rest is the share of the other workers
                    break
            except TimeoutError:
                break
            if job is None:
                return batch, False
            batch.append(job)
        return batch, True

    def _run(self, batch: Sequence[_Job]) -> list[Outcome]:
        """Work on a batch, in a worker's thread; a fault in one picture stays its own."""
        try:
            return self._predict(batch)
        except Exception:
            if len(batch) == 1:
                log.exception("a picture could not be worked on")
                return [Outcome([], 0, 0, internal())]
        return [outcome for job in batch for outcome in self._run([job])]

    def _predict(self, batch: Sequence[_Job]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        sizes: list[tuple[int, int, int]] = []  # place, width, height

        def readable() -> Iterator[decode.Picture]:
            # Decoded one by one as the predictor takes them, so that few are held at once.
            for place, job in enumerate(batch):
                if job.outcome.done():  # given up meanwhile
                    outcomes[place] = Outcome([], 0, 0, timed_out(self._settings.seconds))
                    continue
                try:
                    picture = decode.read(job.data, self._limits)
                except AgelensError as error:
                    outcomes[place] = Outcome([], 0, 0, of_picture(error))
                    continue
                sizes.append((place, picture.shape[1], picture.shape[0]))
                yield picture

        answers = self._predictor.predict(readable())
        for (place, width, height), predictions in zip(sizes, answers, strict=True):
            outcomes[place] = self._outcome(predictions, width, height)
        return [outcomes[place] for place in range(len(batch))]

    def _outcome(self, predictions: list[Prediction], width: int, height: int) -> Outcome:
        most = self._settings.faces
        if len(predictions) <= most:
            return Outcome(predictions, width, height)
        message = f"picture of {len(predictions)} faces: the limit is {most}; cut it into parts"
        problem = Problem(
            422, "too_many_faces", message, {"faces": len(predictions), "limit": most}
        )
        return Outcome([], width, height, problem)
