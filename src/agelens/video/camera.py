"""Live sources: a thread reads a camera or stream, and only the newest frame is kept.

A local camera is read by OpenCV, an address by FFmpeg, and a file is played at its own pace as if
it were a camera.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Protocol, Self

import cv2

from agelens.errors import SourceError
from agelens.faces.detector import silent_opencv
from agelens.video.reader import SCHEMES, Clip, Frame

POLL = 0.2
"""Seconds after which a waiting reader checks whether it should stop."""


class LiveSource(Protocol):
    """A source of frames that arrive by themselves."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Release the device or the connection."""


def open_live(source: int | str | Path, timeout: float = 10.0) -> LiveSource:
    """Open a camera by its number, a stream by its address, or a file as if it were a camera.

    `timeout` is how many seconds to wait for a stream. Raises SourceError if there is no such
    source, BadClip for a file that is not a video, MissingExtra without PyAV (not for cameras).
    """
    if isinstance(source, int):
        return Camera(source)
    if str(source).lower().startswith(SCHEMES):
        return Clip(source, live=True, timeout=timeout)
    if not Path(source).is_file():
        raise SourceError(
            f"no camera, stream or file {str(source)!r}: expected the number of a camera, "
            f"an address ({', '.join(SCHEMES)}) or a clip"
        )
    return PacedClip(Clip(source))


class Camera:
    """A camera of this machine."""

    def __init__(self, number: int = 0) -> None:
        """Open a camera by its number, 0 for the first. Raises SourceError if there is none."""
        self.number = number
        with silent_opencv():  # the error below says it
            self._device = cv2.VideoCapture(number)
        if not self._device.isOpened():
            raise SourceError(
                f"camera {number} cannot be opened: expected one that is plugged in, permitted, "
                "and not in use by another program; try another number with  --camera"
            )
        self._device.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def __iter__(self) -> Iterator[Frame]:
        index, start = 0, time.monotonic()
        while True:
            success, pixels = self._device.read()
            if not success:
                raise SourceError(f"camera {self.number} stopped: is it still plugged in?")
            yield Frame(index, time.monotonic() - start, pixels)
            index += 1

    def close(self) -> None:
        """Release the camera."""
        self._device.release()


class PacedClip:
    """A file whose frames arrive at their own times."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for frame in self._clip:
            time.sleep(max(0.0, start + frame.time - time.monotonic()))
            yield frame

    def close(self) -> None:
        """Close the file."""
        self._clip.close()


class NewestFrames:
    """Iterate over a live source, always continuing with its newest frame.

    Frames that arrive while another one is processed are dropped, so nothing lags behind.
    """

    def __init__(self, source: LiveSource, until: Event | None = None) -> None:
        """Prepare to read a source in a thread, which also closes it in the end.

        Iteration stops once the event `until` is set.
        """
        self._until = until or Event()
        self._changed = Condition()
        self._frame: Frame | None = None
        self._ended = False
        self._error: Exception | None = None
        self._thread = Thread(target=self._read, args=(source,), name="agelens camera", daemon=True)

    def _read(self, source: LiveSource) -> None:
        error: Exception | None = None
        try:
            with closing(source):
                for frame in source:
                    with self._changed:
                        if self._ended:
                            return
                        self._frame = frame
                        self._changed.notify()
        except Exception as problem:  # raised again where the frames are consumed
            error = problem
        finally:
            with self._changed:
                self._ended, self._error = True, error
                self._changed.notify()

    def __iter__(self) -> Iterator[Frame]:
        while not self._until.is_set():
            with self._changed:
                # Wake now and then: `until` may be set by a signal, which notifies nobody.
                self._changed.wait_for(lambda: self._frame is not None or self._ended, POLL)
                frame, self._frame = self._frame, None
                error, ended = self._error, self._ended
            if frame is not None:
                yield frame
            elif error is not None:
                raise error
            elif ended:
                return

    def close(self) -> None:
        """Stop reading. A read in progress may still take as long as its timeout."""
        with self._changed:
            self._ended, self._frame = True, None
        self._thread.join(1.0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
