"""A clip again, with everyone it shows outlined and labelled with what all views of them say."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import IO

from agelens.images.resample import shrink
from agelens.output.drawing import annotate
from agelens.results import Box, Prediction
from agelens.video.reader import Clip
from agelens.video.writer import Recording


@dataclass(slots=True)
class Trail:
    """Where one person was seen, and what is to be written there."""

    number: int
    prediction: Prediction
    times: list[float] = field(default_factory=list)  # seconds, growing
    boxes: list[Box] = field(default_factory=list)

    def at(self, time: float, reach: float, gap: float) -> Box | None:
        """Give the box at a time, between those seen before and after; None where unseen.

        A box also holds for `reach` seconds around; over more than `gap` none is drawn.
        """
        after = bisect_right(self.times, time)
        if after == 0:
            return self.boxes[0] if self.times[0] - time <= reach else None
        since = time - self.times[after - 1]
        if after == len(self.times):
            return self.boxes[-1] if since <= reach else None
        whole = self.times[after] - self.times[after - 1]
        if whole > gap:
            near = self.boxes[after - 1] if since <= reach else self.boxes[after]
            return near if min(since, whole - since) <= reach else None
        a, b, share = self.boxes[after - 1], self.boxes[after], since / whole
        return Box(
            a.left + share * (b.left - a.left),
            a.top + share * (b.top - a.top),
            a.right + share * (b.right - a.right),
            a.bottom + share * (b.bottom - a.bottom),
        )


def mark(
    clip: Clip,
    stream: IO[bytes],
    trails: Sequence[Trail],
    *,
    reach: float = 0.1,
    gap: float = 1.0,
    tell: Callable[[float], None] | None = None,
) -> None:
    """Write a marked copy of a clip as MP4 to a stream that can seek, its sound with it.

    Between the frames that were looked at boxes move evenly; see `Trail.at` for `reach` and
    `gap`. `tell` hears the time in seconds of each frame.
    """
    width = height = 0
    recording: Recording | None = None
    with ExitStack() as stack:
        for frame in clip:
            picture = frame.picture()
            if recording is None:
                height, width = picture.shape[:2]
                recording = stack.enter_context(
                    Recording(stream, width, height, clip.rate, sound=clip.name, lead=clip.lead)
                )
            placed = {
                trail.number: replace(trail.prediction, box=box)
                for trail in trails
                if (box := trail.at(frame.time, reach, gap)) is not None
            }
            marked = annotate(picture, list(placed.values()), list(placed))
            recording.add(shrink(marked, width, height), frame.time)  # a clip may change its size
            if tell is not None:
                tell(frame.time)
