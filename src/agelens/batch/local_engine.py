"""The local engine: one process per worker, each with one thread and a loaded model.

A process that dies is replaced and its unit is done again. A picture at which processes ended
twice is not read a third time: it gets a row with the reason.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing import connection
from typing import Any

from agelens.batch.ledger import Unit
from agelens.batch.progress import Committed, CrashCounter, Event, WorkerLost
from agelens.batch.worker import ONE_THREAD, Job, Worker
from agelens.errors import AgelensError


def run(
    job: Job, unit: Callable[[int], Unit], pending: Iterable[tuple[int, int]], workers: int
) -> Iterator[Event]:
    """Process the pending units, each from the given slice on, with `workers` processes.

    `unit` returns a unit by its number. Raises BatchError if nothing can be written, or processes
    die again and again.
    """
    waiting = ((unit(number), first) for number, first in pending)
    repeated: deque[tuple[Unit, int]] = deque()
    processes: list[_WorkerProcess] = []
    crashes = CrashCounter()

    def next_task() -> tuple[Unit, int] | None:
        return repeated.popleft() if repeated else next(waiting, None)

    try:
        while True:
            while len(processes) < workers and (task := next_task()) is not None:
                processes.append(_WorkerProcess(job, *task, crashes))
            if not processes:
                return
            ready = connection.wait([process.pipe for process in processes])
            for process in [process for process in processes if process.pipe in ready]:
                yield from process.receive()
                if process.busy:
                    continue
                if not process.alive:
                    repeated.append((process.unit, process.next_slice))
                elif (task := next_task()) is not None:
                    process.assign(*task)
                    continue
                process.end()
                processes.remove(process)
    finally:
        for process in processes:
            process.end(0)


class _WorkerProcess:
    def __init__(self, job: Job, unit: Unit, first: int, crashes: CrashCounter) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe()
        self._process = context.Process(target=_main, args=(child, job), daemon=True)
        before = dict(os.environ)
        os.environ.update(ONE_THREAD)
        try:
            self._process.start()
        finally:
            for name in ONE_THREAD:
                del os.environ[name]
            os.environ.update(before)
        child.close()  # so that the end of the process is the end of the pipe
        self._crashes = crashes
        self.assign(unit, first)

    def assign(self, unit: Unit, first: int) -> None:
        self.unit, self.next_slice = unit, first
        self._picture: str | None = None  # the one that the process reads
        self.alive = self.busy = True
        with suppress(OSError):  # it has ended; receive() notices
            self.pipe.send((unit, first, self._crashes.excluded))

    def receive(self) -> Iterator[Event]:
        """Receive one message of the process, or notice its end."""
        try:
            message: Any = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
            self.busy = self.alive = False
            yield WorkerLost(str(self._process.pid), reason)
            self._crashes.add(self.unit.number, self._picture, reason)
            return
        match message:
            case str():
                self._picture = message
            case AgelensError():
                raise message
            case Committed(part=part):
                self.next_slice = part.slice + 1
            case None:
                self.busy = False
        if isinstance(message, Event):
            yield message

    def end(self, seconds: float = 10) -> None:
        """Wait for the process to end, then kill it; another one does what is not committed."""
        self.pipe.close()
        self._process.join(seconds)
        self._process.kill()
        self._process.join()


def _main(pipe: "connection.Connection[Any, Any]", job: Job) -> None:
    """Process units until the pipe ends; runs in the worker process.

    Sends the name of each picture before it is read, events, None after each unit, and an
    AgelensError that stops the run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
    try:
        worker = Worker(job, str(os.getpid()))
        worker.on_picture = pipe.send
        while True:
            for event in worker.process(*pipe.recv()):
                pipe.send(event)
            pipe.send(None)
    except AgelensError as error:
        pipe.send(error)
    except (EOFError, ConnectionError):
        return  # the parent has ended
