"""Write MP4 files: frames as H.264 video, a clip's sound, and boxes with answers on its people.

Sound that MP4 players understand is copied unchanged, other sound becomes AAC. Frames keep their
times.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from agelens.errors import BadClip
from agelens.images.decode import Picture
from agelens.images.resample import shrink
from agelens.output.drawing import annotate
from agelens.results import Box, Prediction
from agelens.video.reader import Clip, pyav

TICKS = 90_000  # ticks per second in which the times of frames are written, as in MPEG
ENCODERS = ("libx264", "libopenh264", "mpeg4")  # best first: some builds lack x264
COPIED = {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"}  # that an MP4 file may contain


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
        encoder = next((n for n in ENCODERS if n in av.codecs_available), None)
        if encoder is None:
            hint = "run  pip install --force-reinstall av"
            raise BadClip(f"this build of PyAV cannot write MP4: {hint}")
        self.size = (width, height)
        self._lead = lead
        self._last = -1
        self._file = av.open(stream, "w", format="mp4")
        self._video = self._file.add_stream(encoder, rate=Fraction(rate).limit_denominator(1001))
        self._video.width, self._video.height = width + width % 2, height + height % 2
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = Fraction(1, TICKS)
        if encoder == "libx264":
            self._video.options = {"crf": "20", "preset": "veryfast"}
        self._sound = None if sound is None else _Sound(sound, self._file)

    def add(self, picture: Picture, time: float) -> None:
        """Write a frame, uint8 (H, W, 3), at `time` in s. Raises ValueError for another size."""
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._last >= 0:  # write the remaining packets
            self._file.mux(self._video.encode(None))
        if self._sound is not None:
            if kind is None:
                self._sound.copy(math.inf)
            self._sound.file.close()
        self._file.close()


class _Sound:
    def __init__(self, clip: str | Path, target: Any) -> None:
        self.file = pyav().open(
            f"file:{clip}", options={"protocol_whitelist": "file"}, metadata_errors="replace"
        )
        self._target = target
        self._start = (self.file.start_time or 0) / 1e6
        self._copied: dict[int, Any] = {}  # output streams, by the index of the input
        self._encoded: dict[int, Any] = {}
        for stream in self.file.streams.audio:
            if (context := stream.codec_context) is None:
                continue
            if context.codec.canonical_name in COPIED:
                self._copied[stream.index] = target.add_stream_from_template(stream)
            else:
                encoded = target.add_stream("aac", rate=stream.rate, layout=stream.layout.name)
                self._encoded[stream.index] = encoded
        self._packets = self._read()
        self._next: tuple[float, Any] | None = None

    def _read(self) -> Iterator[tuple[float, Any]]:
        streams = [self.file.streams[index] for index in {**self._copied, **self._encoded}]
        try:
            for packet in self.file.demux(streams) if streams else ():
                stamp = packet.dts if packet.dts is not None else packet.pts
                known = stamp is not None
                yield float(stamp * packet.time_base) - self._start if known else 0.0, packet
        except (pyav().FFmpegError, OSError):
            return  # truncated: the reader of the video reports it

    def copy(self, until: float) -> None:
        """Copy the sound up to a time in seconds."""
        while upcoming := self._next or next(self._packets, None):
            self._next = upcoming
            seconds, packet = upcoming
            if seconds > until:
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


@dataclass(slots=True)
class Trail:
    """Where one person was seen, and the prediction to label them with."""

    number: int
    prediction: Prediction
    times: list[float] = field(default_factory=list)  # seconds, ascending
    boxes: list[Box] = field(default_factory=list)

    def box_at(self, time: float, reach: float, gap: float) -> Box | None:
        """Interpolate the box at a time between sightings; None if the person is not visible.

        A sighting also counts for `reach` seconds around it. Gaps longer than `gap` seconds are
        not interpolated.
        """
        after = bisect_right(self.times, time)
        if after == 0:
            return self.boxes[0] if self.times[0] - time <= reach else None
        since = time - self.times[after - 1]
        if after == len(self.times):
            return self.boxes[-1] if since <= reach else None
        whole = self.times[after] - self.times[after - 1]
        a, b, share = self.boxes[after - 1], self.boxes[after], since / whole
        if whole > gap:
            return a if since <= reach else b if whole - since <= reach else None
        sides = zip(astuple(a), astuple(b), strict=True)
        return Box(*(one + share * (two - one) for one, two in sides))


def annotate_clip(
    clip: Clip, stream: IO[bytes], trails: Sequence[Trail], *,
    reach: float = 0.1, gap: float = 1.0, on_frame: Callable[[float], None] | None = None,
) -> None:  # fmt: skip
    """Write an annotated copy of a clip, with its sound, as MP4 to a seekable stream.

    Boxes move evenly between the sampled frames; see `Trail.box_at` for `reach` and `gap`.
    `on_frame` is called with the time in seconds of each frame.
    """
    recording: Recording | None = None
    with ExitStack() as stack:
        for frame in clip:
            picture = frame.picture()
            if recording is None:
                height, width = picture.shape[:2]
                recording = Recording(stream, width, height, clip.rate, clip.name, clip.lead)
                stack.enter_context(recording)
            visible = {
                trail.number: replace(trail.prediction, box=box)
                for trail in trails
                if (box := trail.box_at(frame.time, reach, gap)) is not None
            }
            annotated = annotate(picture, list(visible.values()), list(visible))
            recording.add(shrink(annotated, *recording.size), frame.time)  # sizes may change
            if on_frame is not None:
                on_frame(frame.time)
