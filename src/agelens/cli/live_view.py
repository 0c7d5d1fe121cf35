"""What `agelens watch` shows while it goes on: a window, a table in the terminal, or nothing."""

import os
import re
import sys
from collections import deque
from typing import TYPE_CHECKING, Protocol

import cv2
from rich.live import Live
from rich.table import Table

from agelens.cli import console
from agelens.output.drawing import annotate

if TYPE_CHECKING:
    from agelens.images.decode import Picture
    from agelens.video.tracks import Moment, Track

RECENT = 3.0
"""Seconds for which who is no longer seen stays in the table."""


class View(Protocol):
    """Shows moments as they come."""

    def show(self, moment: "Moment") -> bool:
        """Show one moment; False when the user wants no more."""

    def close(self) -> None:
        """Clear away."""


def marked(moment: "Moment") -> "Picture":
    """Give the picture of a moment with everyone outlined, as all views so far have them."""
    return annotate(
        moment.picture,
        [track.prediction for track in moment.tracks],
        [track.number for track in moment.tracks],
    )


def has_window() -> bool:
    """Tell whether OpenCV can open one: `opencv-python-headless` cannot, nor can it off a desk."""
    gui = re.search(r"GUI:\s+(\S+)", cv2.getBuildInformation())
    desk = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return gui is not None and gui[1] != "NONE" and desk


def view(window: bool | None) -> View:
    """Choose how to show: in a window (None: where there can be one), else in the terminal."""
    if window or (window is None and has_window()):
        return Window()
    if console.err.is_terminal and not console.quiet and not console.json_logs:
        return Terminal()
    return Nothing()


class Nothing:
    """Shows nothing: standard error is no terminal."""

    def show(self, moment: "Moment") -> bool:
        """Go on."""
        return True

    def close(self) -> None:
        """Leave all as it is."""


class Window:
    """The marked picture in a window; q or Escape ends."""

    _name = "agelens"

    def show(self, moment: "Moment") -> bool:
        """Show the marked picture, and hear the keys."""
        cv2.imshow(self._name, marked(moment)[..., ::-1])
        return (cv2.waitKey(1) & 0xFF) not in (ord("q"), 27)

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()


class Terminal:
    """A table of who is there, written anew with each frame."""

    def __init__(self) -> None:
        self._live = Live(console=console.err, transient=True, auto_refresh=False)
        self._live.start()
        self._tracks: dict[int, Track] = {}
        self._frames: deque[tuple[int, float]] = deque(maxlen=20)

    def show(self, moment: "Moment") -> bool:
        """Write the table anew."""
        self._frames.append((moment.frame, moment.time))
        self._tracks.update((track.number, track) for track in moment.tracks)
        self._tracks = {
            number: track
            for number, track in self._tracks.items()
            if moment.time - track.last_time <= RECENT
        }
        self._live.update(self._table(moment), refresh=True)
        return True

    def _table(self, moment: "Moment") -> Table:
        (first, start), (last, end) = self._frames[0], self._frames[-1]
        seen = len(self._frames) - 1
        speed = (
            f"{seen / (end - start):.1f} of {(last - first) / (end - start):.1f}" if seen else ""
        )
        table = Table(
            header_style="bold",
            caption=f"{moment.time:.0f} s, {speed} frames a second looked at; Ctrl-C ends",
        )
        for name in ("", "person, age (9 in 10)", "gender", "seen", "status"):
            table.add_column(name, no_wrap=True)
        for number, track in sorted(self._tracks.items()):
            one = track.prediction
            sure = max(one.female_probability, 1 - one.female_probability)
            table.add_row(
                str(number), str(one), f"{one.gender or '?'} {sure:.0%}",
                f"{track.last_time - track.first_time:.0f} s", one.remark,
                style="" if track.last_frame == moment.frame else "dim",
            )  # fmt: skip
        return table

    def close(self) -> None:
        """Take the table off the screen."""
        self._live.stop()
