"""The engine of one machine: a process for each worker, with one thread and the model in it.

A worker that dies, for want of memory or by a picture that brings a decoder down, is replaced
and its unit done again. A picture at which a process has ended twice is not touched a third
time: it gets a row that says so.
"""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import Any

from agelens.batch.events import Committed, Deferred, Event, Lost, Memory, Seen
from agelens.batch.losses import Losses
from agelens.batch.pipeline import Job, Pipeline
from agelens.batch.plan import Unit
from agelens.errors import AgelensError, SourceUnreachable

_MEMORY_SECONDS = 1.0
_ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}


def run(
    job: Job, unit: Callable[[int], Unit], pending: Iterable[tuple[int, int]], workers: int
) -> Iterator[Event]:
    """Do the pending units, each from the slice given, on `workers` processes.

    `unit` gives a unit by its number. Raises BatchError where nothing can be written, or
    processes die whatever they do.
    """
    waiting = iter(pending)
    crew: list[_Worker] = []
    losses = Losses()
    again: deque[tuple[int, int]] = deque()

    def following() -> tuple[int, int] | None:
        return again.popleft() if again else next(waiting, None)

    try:
        while len(crew) < workers and (task := following()) is not None:
            crew.append(_Worker(job, unit(task[0]), task[1], losses))
        while crew:
            ready = connection.wait([worker.line for worker in crew])
            for worker in [worker for worker in crew if worker.line in ready]:
                yield from worker.listen()
                if worker.busy:
                    continue
                if not worker.alive:
                    again.append((worker.unit.number, worker.begin))
                task = following()
                if task is not None and worker.alive:
                    worker.give(unit(task[0]), task[1])
                    continue
                worker.end()
                crew.remove(worker)
                if task is not None:
                    crew.append(_Worker(job, unit(task[0]), task[1], losses))
    finally:
        for worker in crew:
            worker.kill()


class _Worker:
    """One process, seen from the one that gives it work."""

    def __init__(self, job: Job, unit: Unit, begin: int, losses: Losses) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, far = context.Pipe()
        self._process = context.Process(target=_work, args=(far, job), daemon=True)
        with _environment(_ONE_THREAD):
            self._process.start()
        far.close()  # so that the end of the process is the end of the line
        self._losses = losses
        self._name = str(self._process.pid)
        self.alive = True
        self.give(unit, begin)

    def give(self, unit: Unit, begin: int) -> None:
        """Hand over a unit, to be done from slice `begin` on."""
        self.unit, self.begin = unit, begin
        self._at: str | None = None
        self.busy = True
        try:
            self.line.send((unit, begin, self._losses.deadly))
        except OSError:  # it has ended; listen() hears of it
            return

    def listen(self) -> Iterator[Event]:
        """Take one message of the process, or its end."""
        try:
            message: Any = self.line.recv()
        except (EOFError, OSError):
            self._process.join()
            message = "ended", _exit(self._process.exitcode)
        match message:
            case ("at", name):
                self._at = name
            case ("seen", pictures, faces, errors):
                yield Seen(self._name, pictures, faces, errors)
            case ("memory", megabytes):
                yield Memory(self._name, megabytes)
            case ("part", part, size):
                self.begin = part.slice + 1
                yield Committed(self._name, part, size)
            case ("done",):
                self.busy = False
            case ("deferred", why):
                self.busy = False
                yield Deferred(self._name, self.unit.number, why)
            case ("error", error):
                raise error
            case ("ended", why):
                self.busy = self.alive = False
                yield Lost(self._name, why)
                self._losses.note(self.unit.number, self._at, why)

    def end(self) -> None:
        """Let the process end by itself."""
        self.line.close()
        self._process.join(10)
        self.kill()

    def kill(self) -> None:
        """End the process now; what it had not committed is done by another."""
        self._process.kill()
        self._process.join()
        self.line.close()


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"code {code}"


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that libraries read when they are loaded, for the processes started here."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(line: "connection.Connection[Any, Any]", job: Job) -> None:
    """Do what comes over the line until it ends. Runs in the worker's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that gives work sees to it
    try:
        _serve(line, job)
    except (EOFError, ConnectionError):
        return  # nobody is there any more


def _serve(line: "connection.Connection[Any, Any]", job: Job) -> None:
    try:
        pipeline = Pipeline(job)
    except AgelensError as error:
        line.send(("error", error))
        return
    pipeline.at = lambda name: line.send(("at", name))
    told = 0.0

    def tell(pictures: int, faces: int, errors: int) -> None:
        nonlocal told
        line.send(("seen", pictures, faces, errors))
        if time.monotonic() - told > _MEMORY_SECONDS:
            told = time.monotonic()
            line.send(("memory", resident()))

    while True:
        unit, begin, deadly = line.recv()
        try:
            for part, size in pipeline.work(unit, begin, tell, deadly):
                line.send(("part", part, size))
            line.send(("done",))
        except SourceUnreachable as error:
            line.send(("deferred", str(error)))
        except AgelensError as error:
            line.send(("error", error))


def resident() -> float:
    """Give the memory that this process takes, in MB; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
