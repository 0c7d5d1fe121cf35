"""Annotate a clip: outline and label every person with the fused answer of all their views."""

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
        return Box(
            a.left + share * (b.left - a.left),
            a.top + share * (b.top - a.top),
            a.right + share * (b.right - a.right),
            a.bottom + share * (b.bottom - a.bottom),
        )


def annotate_clip(
    clip: Clip,
    stream: IO[bytes],
    trails: Sequence[Trail],
    *,
    reach: float = 0.1,
    gap: float = 1.0,
    on_frame: Callable[[float], None] | None = None,
) -> None:
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
                recording = stack.enter_context(
                    Recording(stream, width, height, clip.rate, sound=clip.name, lead=clip.lead)
                )
            visible = {
                trail.number: replace(trail.prediction, box=box)
                for trail in trails
                if (box := trail.box_at(frame.time, reach, gap)) is not None
            }
            annotated = annotate(picture, list(visible.values()), list(visible))
            recording.add(shrink(annotated, *recording.size), frame.time)  # sizes may change
            if on_frame is not None:
                on_frame(frame.time)
