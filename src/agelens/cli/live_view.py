"""The live views of `agelens watch`: a window, a table in the terminal, or none."""

import os
import re
import sys
from collections import deque
from typing import TYPE_CHECKING

import cv2
from rich.live import Live
from rich.table import Table

from agelens.cli import console
from agelens.output.drawing import annotate
from agelens.output.tables import gender_words

if TYPE_CHECKING:
    from agelens.images.decode import Picture
    from agelens.video.tracks import Moment, Track

RECENT = 3.0
"""Seconds for which a person who is no longer visible stays in the table."""


def annotated(moment: "Moment") -> "Picture":
    """Return the picture of a moment with everyone outlined and labelled by all views so far."""
    return annotate(
        moment.picture,
        [track.prediction for track in moment.tracks],
        [track.number for track in moment.tracks],
    )


def has_window() -> bool:
    """Tell whether OpenCV can open a window: it needs a display and a build with a GUI."""
    gui = re.search(r"GUI:\s+(\S+)", cv2.getBuildInformation())
    display = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return gui is not None and gui[1] != "NONE" and display


def open_view(window: bool | None) -> "View":
    """Open a window (None: if one can be opened), else a table if standard error is a terminal."""
    if window or (window is None and has_window()):
        return Window()
    if console.err.is_terminal and not console.quiet and not console.json_logs:
        return Terminal()
    return View()


class View:
    """Shows nothing; the base of the other views."""

    def show(self, moment: "Moment") -> bool:
        """Show a moment; return False to end."""
        return True

    def close(self) -> None:
        """Clear the view."""


class Window(View):
    """The annotated picture in a window; q or Escape ends."""

    _name = "agelens"

    def show(self, moment: "Moment") -> bool:
        """Show the annotated picture, and check the keys."""
        cv2.imshow(self._name, annotated(moment)[..., ::-1])
        return (cv2.waitKey(1) & 0xFF) not in (ord("q"), 27)

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()


class Terminal(View):
    """A table of the people, updated with each frame."""

    def __init__(self) -> None:
        self._live = Live(console=console.err, transient=True, auto_refresh=False)
        self._live.start()
        self._tracks: dict[int, Track] = {}
        self._frames: deque[tuple[int, float]] = deque(maxlen=20)

    def show(self, moment: "Moment") -> bool:
        """Update the table."""
        self._frames.append((moment.frame, moment.time))
        known = self._tracks | {track.number: track for track in moment.tracks}
        recent = moment.time - RECENT
        self._tracks = {
            number: track for number, track in known.items() if track.last_time >= recent
        }
        self._live.update(self._table(moment), refresh=True)
        return True

    def _table(self, moment: "Moment") -> Table:
        (first, start), (last, end) = self._frames[0], self._frames[-1]
        speed = ""
        if end > start:
            rates = ((len(self._frames) - 1) / (end - start), (last - first) / (end - start))
            speed = "{:.1f} of {:.1f}".format(*rates)
        table = Table(
            header_style="bold",
            caption=f"{moment.time:.0f} s, {speed} frames per second processed; Ctrl-C ends",
        )
        for name in ("", "person, age (9 in 10)", "gender", "seen", "status"):
            table.add_column(name, no_wrap=True)
        for number, track in sorted(self._tracks.items()):
            one = track.prediction
            table.add_row(
                str(number), str(one), gender_words(one),
                f"{track.last_time - track.first_time:.0f} s", one.remark,
                style="" if track.last_frame == moment.frame else "dim",
            )  # fmt: skip
        return table

    def close(self) -> None:
        """Remove the table from the screen."""
        self._live.stop()
