"""Cameras and streams, live: a thread reads on, and only the newest frame is kept.

A camera of this machine is read by OpenCV, an address by FFmpeg, and a file is played at its own
pace as if it were a camera.
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

WAKES = 0.2
"""Seconds after which who waits for a frame looks whether any is wanted still."""


class Feed(Protocol):
    """Frames that come by themselves, and an end to them."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Let go of the device or the connection."""


def live(source: int | str | Path, timeout: float = 10.0) -> Feed:
    """Open a camera by its number, a stream by its address, or a file as if it were a camera.

    `timeout` is how many seconds a stream may keep us waiting. Raises SourceError where there is
    no such source, BadClip for a file that is no clip, MissingExtra without PyAV (cameras do not
    need it).
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
    return Paced(Clip(source))


class Camera:
    """A camera of this machine."""

    def __init__(self, number: int = 0) -> None:
        """Open the camera of a number, 0 for the first. Raises SourceError where there is none."""
        self.number = number
        with silent_opencv():  # the error below says it
            self._device = cv2.VideoCapture(number)
        if not self._device.isOpened():
            raise SourceError(
                f"camera {number} cannot be opened: expected one that is plugged in, allowed, and "
                "in use by no other program; try another number with  --camera"
            )
        self._device.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def __iter__(self) -> Iterator[Frame]:
        index, start = 0, time.monotonic()
        while True:
            there, pixels = self._device.read()
            if not there:
                raise SourceError(f"camera {self.number} gives no picture any more: is it plugged?")
            yield Frame(index, time.monotonic() - start, pixels)
            index += 1

    def close(self) -> None:
        """Let go of the camera."""
        self._device.release()


class Paced:
    """A file whose frames come when they are due."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for frame in self._clip:
            time.sleep(max(0.0, start + frame.time - time.monotonic()))
            yield frame

    def close(self) -> None:
        """Let go of the file."""
        self._clip.close()


class Newest:
    """The newest frame of a feed, whenever one is asked for: `for frame in newest`.

    Frames that come while the last one is worked on are let go, so nothing ever lags.
    """

    def __init__(self, feed: Feed, until: Event | None = None) -> None:
        """Prepare to read a feed, in a thread which also closes it in the end.

        Once `until` is set no frame is waited for any more.
        """
        self._until = until or Event()
        self._changed = Condition()
        self._frame: Frame | None = None
        self._ended = False
        self._error: Exception | None = None
        self._thread = Thread(target=self._read, args=(feed,), name="agelens camera", daemon=True)

    def _read(self, feed: Feed) -> None:
        error: Exception | None = None
        try:
            with closing(feed):
                for frame in feed:
                    with self._changed:
                        if self._ended:
                            return
                        self._frame = frame
                        self._changed.notify()
        except Exception as problem:  # raised again where the frames are taken
            error = problem
        finally:
            with self._changed:
                self._ended, self._error = True, error
                self._changed.notify()

    def __iter__(self) -> Iterator[Frame]:
        while not self._until.is_set():
            with self._changed:
                # Now and then it wakes: `until` may be set by a signal, which wakes nobody.
                self._changed.wait_for(lambda: self._frame is not None or self._ended, WAKES)
                frame, self._frame = self._frame, None
                error, ended = self._error, self._ended
            if frame is not None:
                yield frame
            elif error is not None:
                raise error
            elif ended:
                return

    def close(self) -> None:
        """Read no further. A read that is under way may still take as long as its timeout."""
        with self._changed:
            self._ended, self._frame = True, None
        self._thread.join(1.0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
