"""Live sources: a thread reads a camera (OpenCV), a stream (FFmpeg), or a file at its own pace.

Only the newest frame is kept.
"""

import itertools
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Self, TypeAlias

import cv2

from agelens.errors import SourceError
from agelens.video.reader import SCHEMES, Clip, Frame

POLL = 0.2  # seconds after which a waiting reader checks whether it should stop
LiveSource: TypeAlias = Clip | Generator[Frame, None, None]
"""A source of frames that arrive by themselves; `close` releases the device or connection."""


def open_live(source: int | str | Path, timeout: float = 10.0) -> LiveSource:
    """Open a camera by its number, a stream by its address, or a file as if it were a camera.

    `timeout` is how many seconds to wait for a stream. Raises SourceError if there is no such
    source, BadClip for a file that is not a video, MissingExtra without PyAV (not for cameras).
    """
    if isinstance(source, int):
        return _read_camera(source)
    if str(source).lower().startswith(SCHEMES):
        return Clip(source, live=True, timeout=timeout)
    if not Path(source).is_file():
        raise SourceError(
            f"no camera, stream or file {str(source)!r}: expected the number of a camera, "
            f"an address ({', '.join(SCHEMES)}) or a clip"
        )
    return _at_own_pace(Clip(source))


def _at_own_pace(clip: Clip) -> Generator[Frame, None, None]:
    with clip:
        start = time.monotonic()
        for frame in clip:
            time.sleep(max(0.0, start + frame.time - time.monotonic()))
            yield frame


def _read_camera(number: int) -> Generator[Frame, None, None]:
    log = cv2.utils.logging
    before = log.setLogLevel(log.LOG_LEVEL_SILENT)  # the error below says it
    try:
        device = cv2.VideoCapture(number)
    finally:
        log.setLogLevel(before)
    if not device.isOpened():
        raise SourceError(
            f"camera {number} cannot be opened: expected one that is plugged in, permitted, "
            "and not in use by another program; try another number with  --camera"
        )
    device.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def frames() -> Generator[Frame, None, None]:
        start = time.monotonic()
        try:
            for index in itertools.count():
                success, pixels = device.read()
                if not success:
                    raise SourceError(f"camera {number} stopped: is it still plugged in?")
                yield Frame(index, time.monotonic() - start, pixels)
        finally:
            device.release()

    return frames()


class NewestFrames:
    """Iterate over the newest frames of a live source; those that arrive meanwhile are dropped."""

    def __init__(self, source: LiveSource, until: Event | None = None) -> None:
        """Read a source in a thread, which also closes it; iteration stops once `until` is set."""
        self._until = until or Event()
        self._changed = Condition()
        self._frame: Frame | None = None
        self._ended = False
        self._error: Exception | None = None
        self._thread = Thread(target=self._read, args=(source,), name="agelens camera", daemon=True)

    def _read(self, source: LiveSource) -> None:
        try:
            with closing(source):
                for frame in source:
                    with self._changed:
                        if self._ended:
                            return
                        self._frame = frame
                        self._changed.notify()
        except Exception as error:  # raised again where the frames are consumed
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify()

    def __iter__(self) -> Iterator[Frame]:
        while not self._until.is_set():
            with self._changed:
                # Wake now and then: `until` may be set by a signal, which notifies nobody.
                self._changed.wait_for(lambda: self._frame is not None or self._ended, POLL)
                frame, self._frame = self._frame, None
                ended = self._ended
            if frame is not None:
                yield frame
            elif ended:
                if self._error is not None:
                    raise self._error
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended, self._frame = True, None
        self._thread.join(1.0)  # a read in progress may still take as long as its timeout
