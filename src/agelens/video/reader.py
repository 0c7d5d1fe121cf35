"""Clips and streams -> frames, one after another, within limits: the only reader of video.

PyAV (FFmpeg's libraries) does the work. A file may be of the usual containers only: some formats
that FFmpeg knows are lists of other files and addresses, which a clip must not make us open. The
limit of pixels holds before a frame is decoded. Frames are turned upright as the clip says,
stretched where its pixels are not square, and keep their own times, also where the rate varies; of
a stream that tells none, as most cameras over HTTP, a frame is of the time at which it came.
What is damaged is passed over and told, and of a clip that is cut off the frames before are given.
"""

import re
import time as clock
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agelens.errors import BadClip, MissingExtra, SourceError
from agelens.images.decode import Picture

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpeg,mpegts,asf,ogg,mpegvideo,h264,hevc"
STREAMS = f"{CONTAINERS},mpjpeg,mjpeg,hls,rtsp,rtp,live_flv"
PROTOCOLS = "http,https,tcp,tls,crypto,rtsp,rtp,udp,srtp"
SCHEMES = ("http://", "https://", "rtsp://", "rtsps://")

MOST_PIXELS = 36_000_000
"""Width x height of a frame: 8192 x 4320 is below, and takes 108 MB as RGB."""
NO_TIMES = 0x80
"""FFmpeg's flag of formats without times: it makes them up, at 25 frames a second."""
MOST_FAILURES = 20
"""Times that a file may be damaged between its frames before it counts as cut off."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A moment of a clip whose pixels are not copied out yet."""

    index: int  # 0, 1, 2, ... of the frames that could be decoded
    time: float  # seconds since the first frame; grows
    image: Any  # how the reader keeps it: an av.VideoFrame, or BGR pixels of a camera
    stretch: float = 1.0  # width of a pixel by its height

    def picture(self) -> Picture:
        """Give the upright pixels: RGB, uint8 (H, W, 3)."""
        if isinstance(self.image, np.ndarray):
            return np.ascontiguousarray(self.image[..., ::-1])
        width = max(1, round(self.image.width * self.stretch))
        rgb = self.image.reformat(width=width, format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(rgb, round(self.image.rotation / 90)), np.uint8)


class Clip:
    """A video that is read frame by frame, once: `for frame in clip`."""

    def __init__(
        self, source: str | Path, *, live: bool = False, timeout: float = 10.0,
        most_pixels: int = MOST_PIXELS,
    ) -> None:  # fmt: skip
        """Open a file, or with `live` the address of a stream.

        `timeout` is how many seconds a stream may keep us waiting. Raises MissingExtra without
        PyAV, SourceError for what cannot be opened, BadClip for what is no clip or over the
        limit of pixels.
        """
        self.name = without_password(str(source))
        self._address = str(source)
        self.damaged = 0  # frames passed over so far, since they could not be decoded
        self.end = 0.0  # seconds: where the frames read so far end
        self.lead = 0.0  # seconds between the start of the first stream and the first frame
        self._most_pixels = most_pixels
        self._timeout = timeout if live else None
        self._container = self._open(live)
        self._untimed = live and bool(self._container.format.flags & NO_TIMES)
        try:
            self._stream = self._choose()
        except BaseException:
            self._container.close()
            raise
        self.rate = self._rate()  # frames a second, as the clip says; 25 where it does not
        own, whole = self._length(), self._container.duration
        # the length in seconds that the clip says it has; None where it does not
        self.seconds = own or (whole / 1e6 if whole else None)
        self._slack = 1.5 / self.rate + (0.1 if own else 1.0)

    def _open(self, live: bool) -> "InputContainer":
        av = pyav()
        options = {
            "format_whitelist": STREAMS if live else CONTAINERS,
            "protocol_whitelist": PROTOCOLS if live else "file",
            "max_pixels": str(self._most_pixels),
        }
        if live:
            options |= {"rtsp_transport": "tcp", "fflags": "nobuffer", "analyzeduration": "1000000"}
        elif not Path(self._address).is_file():
            raise SourceError(f"no such file: {self.name!r}; check the path")
        elif not Path(self._address).stat().st_size:
            raise BadClip("empty file: expected a clip (MP4, MOV, MKV, WebM, AVI, ...)")
        try:
            container: InputContainer = av.open(
                self._address if live else f"file:{self._address}",
                options=options,
                metadata_errors="replace",
                timeout=self._timeout,
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            if live:
                raise SourceError(self._unreached(error)) from error
            if isinstance(error, PermissionError):
                raise SourceError(f"cannot read {self.name!r}: {error.strerror}") from error
            raise BadClip(
                f"damaged, cut off, or not a clip that can be read: {_reason(error)}"
            ) from error
        return container

    def _unreached(self, error: Exception) -> str:
        return (
            f"cannot open {self.name!r}: {self._why(error)}; expected a stream that answers "
            f"within {self._timeout:g} s"
        )

    def _why(self, error: Exception) -> str:
        # FFmpeg's own words for our time limit are "Immediate exit requested".
        late = isinstance(error, pyav().ExitError)
        return f"nothing came for {self._timeout:g} s" if late else _reason(error)

    def _choose(self) -> "VideoStream":
        av = pyav()
        covers = av.stream.Disposition.attached_pic  # of songs
        for stream in self._container.streams.video:
            if getattr(stream, "codec_context", None) is None or stream.disposition & covers:
                continue  # no decoder, or a still
            self._check_size(stream.codec_context.width, stream.codec_context.height)
            stream.codec_context.options = {"max_pixels": str(self._most_pixels)}
            if self._timeout is None:  # threads work on several frames at once, so they come late
                stream.thread_type = "AUTO"
            return stream
        raise BadClip("no picture in it that can be decoded: expected a clip with video")

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._most_pixels:
            raise BadClip(
                f"frames of {width} x {height} pixels: the limit is {self._most_pixels:,} pixels; "
                "make the clip smaller first"
            )

    def _rate(self) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate or 25
        return float(rate) if 0.01 < rate < 1000 else 25.0

    def _length(self) -> float | None:
        """Give the seconds of the pictures alone: sound may go on for longer."""
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        told = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", self._stream.metadata.get("DURATION", ""))
        return None if told is None else int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3])

    @property
    def damage(self) -> str | None:
        """What was wrong with the clip, in words, once it was read; None for nothing."""
        told = []
        if self.damaged:
            told.append(f"damaged frames passed over: {self.damaged}")
        if self.seconds is not None and self.end < self.seconds - self._slack:
            told.append(f"cut off: {self.end:.1f} of {self.seconds:.1f} s could be read")
        return "; ".join(told) or None

    def __iter__(self) -> Iterator[Frame]:
        index, last, first = 0, -1.0, None
        for image in self._images():
            self._check_size(image.width, image.height)
            time = self._time_of(image)
            if first is None:
                first = time or 0.0
                started = self._container.start_time
                if time is not None and not self._untimed:
                    self.lead = max(0.0, first - (started or 0) / 1e6)
            time = None if time is None else time - first
            if time is None or not last < time:  # without times, or times that go back
                time = last + 1 / self.rate if index else 0.0
            square = self._stream.sample_aspect_ratio or 1
            stretch = float(square) if 0.1 < square < 10 else 1.0
            self._check_size(round(image.width * stretch), image.height)
            self.end = time + 1 / self.rate
            yield Frame(index, time, image, stretch)
            index, last = index + 1, time
        if not index:
            raise BadClip("damaged or cut off: not one frame of it can be decoded")

    def _time_of(self, image: "VideoFrame") -> float | None:
        if self._untimed:
            return clock.monotonic()
        return float(image.time) if image.pts is not None else None

    def _images(self) -> "Iterator[VideoFrame]":
        av = pyav()
        packets = self._container.demux(self._stream)
        failures = 0
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                if self._timeout is not None:
                    raise SourceError(f"{self.name!r} broke off: {self._why(error)}") from error
                failures += 1
                if not isinstance(error, av.InvalidDataError) or failures > MOST_FAILURES:
                    return  # what is missing shows in `damage`
                packets = self._container.demux(self._stream)  # it may find a way to go on
                continue
            if packet.is_corrupt:
                self.damaged += 1
                continue
            try:
                images = packet.decode()
            except (av.FFmpegError, ValueError):
                self.damaged += 1
                continue
            for image in images:
                if image.is_corrupt:
                    self.damaged += 1
                else:
                    yield image

    def close(self) -> None:
        """Let go of the file or the connection."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pyav() -> Any:
    """Give the module `av`. Raises MissingExtra where it is not installed."""
    try:
        import av
    except ImportError:
        raise MissingExtra("av", "video") from None
    return av


def without_password(address: str) -> str:
    """Give an address as it may be shown: without the name and password of a camera's user."""
    return re.sub(r"^(\w+://)[^/@]*@", r"\1", address)


def sample(frames: Iterable[Frame], fps: float | None, every: int | None = None) -> Iterator[Frame]:
    """Give some of the frames: `fps` a second by their times, or every so-and-so-many-th.

    With neither all of them.
    """
    due = 0.0
    for frame in frames:
        if every is not None:
            if frame.index % every == 0:
                yield frame
        elif fps is None:
            yield frame
        elif frame.time >= due - 1e-6:
            yield frame
            due += 1 / fps
            if due <= frame.time:  # after a gap
                due = frame.time + 1 / fps


def _reason(error: Exception) -> str:
    """Say why, as FFmpeg does, without the name of the file."""
    return str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
