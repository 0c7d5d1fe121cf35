"""Read clips and streams frame by frame with PyAV, within limits; the only reader of video.

Only the usual containers are accepted as files: some of FFmpeg's formats are lists of other files
and addresses. Frames are upright, have square pixels and keep their own times; in a stream without
times, as from most cameras over HTTP, a frame has the time at which it arrived. Damaged parts are
skipped and reported; of a truncated clip the readable frames are returned.
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

MAX_PIXELS = 36_000_000  # of a frame: 8192 x 4320 is below it and takes 108 MB as RGB
NO_TIMES = 0x80  # FFmpeg's flag of formats without times, for which it invents 25 frames a second
MAX_FAILURES = 20  # damaged places between frames after which a file counts as truncated


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame whose pixels are not converted yet."""

    index: int  # 0, 1, 2, ... of the frames that could be decoded
    time: float  # seconds since the first frame; increasing
    image: Any  # an av.VideoFrame, or the BGR pixels of a camera
    stretch: float = 1.0  # width of a pixel divided by its height

    def picture(self) -> Picture:
        """Return the upright pixels: RGB, uint8 (H, W, 3)."""
        if isinstance(self.image, np.ndarray):
            return np.ascontiguousarray(self.image[..., ::-1])
        width = max(1, round(self.image.width * self.stretch))
        rgb = self.image.reformat(width=width, format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(rgb, round(self.image.rotation / 90)), np.uint8)


class Clip:
    """A video that is read once, frame by frame: `for frame in clip`."""

    def __init__(
        self, source: str | Path, *, live: bool = False, timeout: float = 10.0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:  # fmt: skip
        """Open a file, or with `live` the address of a stream.

        `timeout` is how many seconds to wait for a stream. Raises MissingExtra without PyAV,
        SourceError if it cannot be opened, BadClip if it is not a video or over the pixel limit.
        """
        self.name = without_password(str(source))
        self._address = str(source)
        self.damaged = 0  # undecodable frames skipped so far
        self.end = 0.0  # seconds: end of the frames read so far
        self.lead = 0.0  # seconds between the start of the first stream and the first frame
        self._max_pixels = max_pixels
        self._timeout = timeout if live else None
        self._container = self._open(live)
        self._untimed = live and bool(self._container.format.flags & NO_TIMES)
        try:
            self._stream = self._video_stream()
        except BaseException:
            self._container.close()
            raise
        rate = self._stream.average_rate or self._stream.guessed_rate or 25
        self.rate = float(rate) if 0.01 < rate < 1000 else 25.0  # nominal frames per second
        own, whole = self._length(), self._container.duration
        self.seconds = own or (whole / 1e6 if whole else None)  # nominal length, if known
        self._slack = 1.5 / self.rate + (0.1 if own else 1.0)

    def _open(self, live: bool) -> "InputContainer":
        av = pyav()
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        if live:
            options = {"format_whitelist": STREAMS, "protocol_whitelist": PROTOCOLS}
            options |= {"rtsp_transport": "tcp", "fflags": "nobuffer", "analyzeduration": "1000000"}
        elif not (file := Path(self._address)).is_file():
            raise SourceError(f"no such file: {self.name!r}; check the path")
        elif not file.stat().st_size:
            raise BadClip("empty file: expected a clip (MP4, MOV, MKV, WebM, AVI, ...)")
        try:
            container: InputContainer = av.open(
                self._address if live else f"file:{self._address}", metadata_errors="replace",
                options=options | {"max_pixels": str(self._max_pixels)}, timeout=self._timeout,
            )  # fmt: skip
        except (av.FFmpegError, OSError, ValueError) as error:
            if live:
                raise SourceError(
                    f"cannot open {self.name!r}: {self._explain(error)}; expected a stream that "
                    f"answers within {self._timeout:g} s"
                ) from error
            if isinstance(error, PermissionError):
                raise SourceError(f"cannot read {self.name!r}: {error.strerror}") from error
            raise BadClip(
                f"damaged, cut off, or not a clip that can be read: {self._explain(error)}"
            ) from error
        return container

    def _explain(self, error: Exception) -> str:
        if isinstance(error, pyav().ExitError) and self._timeout is not None:
            return f"nothing came for {self._timeout:g} s"  # FFmpeg: "Immediate exit requested"
        return str(getattr(error, "strerror", None) or error).strip() or type(error).__name__

    def _video_stream(self) -> "VideoStream":
        av = pyav()
        covers = av.stream.Disposition.attached_pic  # of music files
        for stream in self._container.streams.video:
            if getattr(stream, "codec_context", None) is None or stream.disposition & covers:
                continue  # no decoder, or a still picture
            self._check_size(stream.codec_context.width, stream.codec_context.height)
            stream.codec_context.options = {"max_pixels": str(self._max_pixels)}
            if self._timeout is None:  # threads decode several frames at once, which delays them
                stream.thread_type = "AUTO"
            return stream
        raise BadClip("no picture that can be decoded: expected a clip with video")

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise BadClip(
                f"frames of {width} x {height} pixels: the limit is {self._max_pixels:,} pixels; "
                "make the clip smaller first"
            )

    def _length(self) -> float | None:
        """Return the seconds of the video stream; the sound may be longer."""
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        duration = self._stream.metadata.get("DURATION", "")
        found = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", duration)
        return found and int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])

    @property
    def damage(self) -> str | None:
        """What was wrong with the clip, known once it was read; None for nothing."""
        problems = [f"damaged frames skipped: {self.damaged}"] if self.damaged else []
        if self.seconds is not None and self.end < self.seconds - self._slack:
            problems.append(f"cut off: {self.end:.1f} of {self.seconds:.1f} s could be read")
        return "; ".join(problems) or None

    def __iter__(self) -> Iterator[Frame]:
        index, last, first = 0, -1.0, None
        for image in self._images():
            self._check_size(image.width, image.height)
            time = None if image.pts is None else float(image.time)
            if self._untimed:
                time = clock.monotonic()
            if first is None:
                first = time or 0.0
                if time is not None and not self._untimed:
                    self.lead = max(0.0, first - (self._container.start_time or 0) / 1e6)
            if time is None or not last < time - first:  # no time, or a time that goes back
                time = last + 1 / self.rate if index else 0.0
            else:
                time -= first
            square = self._stream.sample_aspect_ratio or 1
            stretch = float(square) if 0.1 < square < 10 else 1.0
            self._check_size(round(image.width * stretch), image.height)
            self.end = time + 1 / self.rate
            yield Frame(index, time, image, stretch)
            index, last = index + 1, time
        if not index:
            raise BadClip("damaged or cut off: no frame can be decoded")

    def _images(self) -> "Iterator[VideoFrame]":
        av = pyav()
        packets = self._container.demux(self._stream)
        failures = 0
        while True:
            try:
                if (packet := next(packets, None)) is None:
                    return
            except (av.FFmpegError, OSError) as error:
                if self._timeout is not None:
                    raise SourceError(f"{self.name!r} broke off: {self._explain(error)}") from error
                failures += 1
                if not isinstance(error, av.InvalidDataError) or failures > MAX_FAILURES:
                    return  # `damage` reports what is missing
                packets = self._container.demux(self._stream)  # it may be able to continue
                continue
            damaged = packet.is_corrupt
            try:
                images = [] if damaged else packet.decode()
            except (av.FFmpegError, ValueError):
                images, damaged = [], True
            intact = [image for image in images if not image.is_corrupt]
            self.damaged += damaged + len(images) - len(intact)
            yield from intact

    def close(self) -> None:
        """Close the file or the connection."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pyav() -> Any:
    """Return the module `av`. Raises MissingExtra if it is not installed."""
    try:
        import av
    except ImportError:
        raise MissingExtra("av", "video") from None
    return av


def without_password(address: str) -> str:
    """Return an address that is safe to show: without a camera's user name and password."""
    return re.sub(r"^(\w+://)[^/@]*@", r"\1", address)


def sample(frames: Iterable[Frame], fps: float | None, every: int | None = None) -> Iterator[Frame]:
    """Sample `fps` frames per second by their times, or each `every`-th; all if both are None."""
    due = 0.0
    for frame in frames:
        if every is not None or fps is None:
            if frame.index % (every or 1) == 0:
                yield frame
        elif frame.time >= due - 1e-6:
            yield frame
            due += 1 / fps
            if due <= frame.time:  # after a gap
                due = frame.time + 1 / fps
