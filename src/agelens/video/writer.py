"""Write frames to an MP4 file with H.264 video, and copy the sound of a clip.

Sound that MP4 players understand is copied unchanged, other sound becomes AAC. Frames keep their
times.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from agelens.errors import BadClip
from agelens.images.decode import Picture
from agelens.video.reader import pyav

TICKS = 90_000
"""Ticks per second in which the times of frames are written, as in MPEG."""
COPIED = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
"""Audio codecs that an MP4 file may contain."""


class Recording:
    """An MP4 file that is written frame by frame."""

    def __init__(
        self, stream: IO[bytes], width: int, height: int, rate: float = 25.0,
        sound: str | Path | None = None, lead: float = 0.0,
    ) -> None:  # fmt: skip
        """Write to a seekable stream, frames of one size, at about `rate` per second.

        The sound of the clip `sound` is copied; it starts `lead` seconds before the first frame.
        Raises MissingExtra without PyAV.
        """
        av = pyav()
        self.size = (width, height)
        self._lead = lead
        self._last = -1
        self._file = av.open(stream, "w", format="mp4")
        self._video = self._file.add_stream(_encoder(), rate=Fraction(rate).limit_denominator(1001))
        self._video.width, self._video.height = width + width % 2, height + height % 2
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = Fraction(1, TICKS)
        if self._video.codec_context.name == "libx264":
            self._video.options = {"crf": "20", "preset": "veryfast"}
        self._sound = None if sound is None else _Sound(sound, self._file)

    def add(self, picture: Picture, time: float) -> None:
        """Write a frame, uint8 (H, W, 3) RGB, to be shown from `time` on, in seconds.

        Raises ValueError for a different size.
        """
        wide, high = self.size
        if picture.shape != (high, wide, 3):
            raise ValueError(f"frame of shape {picture.shape}: expected {(high, wide, 3)}")
        even = np.pad(picture, ((0, high % 2), (0, wide % 2), (0, 0)), mode="edge")
        image = pyav().VideoFrame.from_ndarray(even, format="rgb24")
        self._last = max(self._last + 1, round((time + self._lead) * TICKS))
        image.pts, image.time_base = self._last, Fraction(1, TICKS)
        if self._sound is not None:
            self._sound.copy(time + self._lead)
        self._file.mux(self._video.encode(image))

    def close(self) -> None:
        """Write the remaining packets and close the file."""
        if self._last >= 0:
            self._file.mux(self._video.encode(None))
        if self._sound is not None:
            self._sound.copy(None)
            self._sound.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            if self._sound is not None:
                self._sound.close()
            self._file.close()


class _Sound:
    """Copies the sound of a clip."""

    def __init__(self, clip: str | Path, target: Any) -> None:
        av = pyav()
        self._target = target
        options = {"protocol_whitelist": "file"}
        self._file = av.open(f"file:{clip}", options=options, metadata_errors="replace")
        self._start = (self._file.start_time or 0) / 1e6
        self._copied: dict[int, Any] = {}  # output streams, by the index of the input
        self._encoded: dict[int, Any] = {}
        for stream in self._file.streams.audio:
            if stream.codec_context is None:
                continue
            if stream.codec_context.codec.canonical_name in COPIED:
                self._copied[stream.index] = target.add_stream_from_template(stream)
            else:
                self._encoded[stream.index] = target.add_stream(
                    "aac", rate=stream.rate, layout=stream.layout.name
                )
        self._packets = self._read()
        self._next: Any = None

    def _read(self) -> Iterator[Any]:
        av = pyav()
        streams = [self._file.streams[index] for index in {**self._copied, **self._encoded}]
        try:
            yield from self._file.demux(streams) if streams else ()
        except (av.FFmpegError, OSError):
            return  # truncated: the reader of the video reports it

    def copy(self, until: float | None) -> None:
        """Copy the sound up to a time in seconds; None copies the rest."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
                if self._next is None:
                    return
            packet = self._next
            stamp = packet.dts if packet.dts is not None else packet.pts
            seconds = 0.0 if stamp is None else float(stamp * packet.time_base) - self._start
            if until is not None and seconds > until:
                return
            self._next = None
            self._write(packet)

    def _write(self, packet: Any) -> None:
        index = packet.stream.index
        if index in self._copied:
            if packet.dts is not None and packet.pts is not None:  # the final packet is empty
                shift = round(self._start / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = self._copied[index]
                self._target.mux(packet)
            return
        out = self._encoded[index]
        try:
            frames = packet.decode()
        except (pyav().FFmpegError, ValueError):
            return  # damaged
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(self._start / frame.time_base)
            self._target.mux(out.encode(frame))
        if not packet.size:  # the final packet
            self._target.mux(out.encode(None))

    def close(self) -> None:
        self._file.close()


def _encoder() -> str:
    """Choose the best encoder available: some builds lack x264."""
    av = pyav()
    for name in ("libx264", "libopenh264", "mpeg4"):
        if name in av.codecs_available:
            return name
    raise BadClip("this build of PyAV cannot write MP4: run  pip install --force-reinstall av")
