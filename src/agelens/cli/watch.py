"""`agelens watch`: ages and genders of the people in front of a camera, live.

They are shown in a window, in a table in the terminal, or not at all.
"""

import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from agelens.cli import console, options
from agelens.errors import AgelensError, SourceError

if TYPE_CHECKING:
    from rich.table import Table

    from agelens.images.decode import Picture
    from agelens.video.pipeline import Moment, Track

RECENT = 3.0
"""Seconds for which a person who is no longer visible stays in the terminal's table."""


def watch(
    source: Annotated[
        str | None,
        Argument(help="A stream address (http, https, rtsp) or a clip; the default is a camera."),
    ] = None,
    *,
    camera: Annotated[int, Option("--camera", "-c", min=0, help="Number of the camera.")] = 0,
    seconds: Annotated[float | None, Option(min=0, help="Stop after this many seconds.")] = None,
    record: Annotated[
        Path | None,
        Option("--record", "-r", help="Write the annotated video to this MP4 file."),
    ] = None,
    window: Annotated[
        bool | None, Option(help="Show a window (default: if the system can).")
    ] = None,
    form: options.Format = "table",
    output: options.OutputFile = None,
    per_frame: options.PerFrame = False,
    min_views: options.MinViews = 3,
    timeout: Annotated[float, Option(min=0.1, help="Seconds to wait for a stream.")] = 10.0,
    settings: options.PredictorOptions,
) -> None:
    """Track the people in front of a camera live, and list them at the end.

    A person's prediction combines all views so far. Frames that arrive while another one is being
    processed are dropped, so the display does not lag. Press Ctrl-C to stop and print a table of
    the people. Nothing is stored without --record. Streams, clips and --record need the extra
    `video`.

    [bold]Examples[/]

      agelens watch
      agelens watch --camera 1 --seconds 60 --record door.mp4
      agelens watch rtsp://camera.example/stream --format jsonl --per-frame
    """
    from agelens.cli.predict import write_frame, write_people
    from agelens.output.tables import replacing
    from agelens.video.reader import pyav, without_password

    writer = options.writer_of(form)
    if record is not None:
        pyav()  # fail at once if it is missing
        if source is not None and record.resolve() == Path(source).resolve():
            raise SourceError(f"--record {str(record)!r} is the clip itself: choose another name")
    predictor = settings.load()
    name = f"camera {camera}" if source is None else without_password(source)
    people: dict[int, Track] = {}
    frames, end = 0, 0.0
    failure: AgelensError | None = None
    stopped = Event()

    def stop(number: int, _: object) -> None:
        """Stop at the first Ctrl-C; a second one ends at once."""
        stopped.set()
        signal.signal(number, handlers[number])

    with ExitStack() as stack:
        where = camera if source is None else source
        moments = predictor.watch(where, timeout=timeout, until=stopped)
        stack.enter_context(closing(moments))
        target = nullcontext(sys.stdout) if output is None else replacing(output)
        out = writer(stack.enter_context(target), clips=True)
        write_recording = stack.enter_context(_recording(record))
        view = stack.enter_context(closing(open_view(window)))
        handlers = stack.enter_context(console.on_signals(stop))
        try:
            for moment in moments:
                frames, end = frames + 1, moment.time
                people.update((track.number, track) for track in moment.tracks)
                if per_frame:
                    write_frame(out, name, moment)
                    out.stream.flush()
                write_recording(moment)
                if not view.show(moment) or stopped.is_set():
                    break
                if seconds is not None and moment.time >= seconds:
                    break
        except AgelensError as error:
            if not frames:
                raise
            failure = error  # the people so far, and the recording, are kept
        view.close()
        write_people(out, name, list(people.values()), frames, end, min_views)
        out.close()
    if failure is not None:
        raise failure


@contextmanager
def _recording(target: Path | None) -> "Iterator[Callable[[Moment], None]]":
    """Yield a function that writes an annotated moment to the file, complete in the end."""
    if target is None:
        yield lambda moment: None
        return
    from agelens.images.resample import shrink
    from agelens.output.tables import replacing
    from agelens.video.writer import Recording

    with replacing(target, "wb") as stream, ExitStack() as stack:
        opened: list[Recording] = []

        def write(moment: "Moment") -> None:
            if not opened:  # the size is known only now
                height, width = moment.picture.shape[:2]
                opened.append(stack.enter_context(Recording(stream, width, height)))
            opened[0].add(shrink(_annotated(moment), *opened[0].size), moment.time)

        yield write


def _annotated(moment: "Moment") -> "Picture":
    """Return the picture of a moment with everyone outlined and labelled by all views so far."""
    from agelens.output.drawing import annotate

    predictions = [track.prediction for track in moment.tracks]
    return annotate(moment.picture, predictions, [track.number for track in moment.tracks])


def has_window() -> bool:
    """Tell whether OpenCV can open a window: it needs a display and a build with a GUI."""
    import cv2

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

    def show(self, moment: "Moment") -> bool:
        """Show the annotated picture, and check the keys."""
        import cv2

        cv2.imshow("agelens", _annotated(moment)[..., ::-1])
        return (cv2.waitKey(1) & 0xFF) not in (ord("q"), 27)

    def close(self) -> None:
        """Close the window."""
        import cv2

        cv2.destroyAllWindows()


class Terminal(View):
    """A table of the people, updated with each frame."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(console=console.err, transient=True, auto_refresh=False)
        self._live.start()
        self._tracks: dict[int, Track] = {}
        self._frames: deque[tuple[int, float]] = deque(maxlen=20)

    def show(self, moment: "Moment") -> bool:
        """Update the table."""
        self._frames.append((moment.frame, moment.time))
        known = self._tracks | {track.number: track for track in moment.tracks}
        recent = moment.time - RECENT
        self._tracks = {number: one for number, one in known.items() if one.last_time >= recent}
        self._live.update(self._table(moment), refresh=True)
        return True

    def _table(self, moment: "Moment") -> "Table":
        from rich.table import Table

        from agelens.output.tables import gender_words

        (first, start), (last, end) = self._frames[0], self._frames[-1]
        speed = ""
        if end > start:
            rates = ((len(self._frames) - 1) / (end - start), (last - first) / (end - start))
            speed = "{:.1f} of {:.1f}".format(*rates)
        caption = f"{moment.time:.0f} s, {speed} frames per second processed; Ctrl-C ends"
        table = Table(header_style="bold", caption=caption)
        for name in ("", "person, age (9 in 10)", "gender", "seen", "status"):
            table.add_column(name, no_wrap=True)
        for number, track in sorted(self._tracks.items()):
            one = track.prediction
            seen = f"{track.last_time - track.first_time:.0f} s"
            style = "" if track.last_frame == moment.frame else "dim"
            table.add_row(str(number), str(one), gender_words(one), seen, one.remark, style=style)
        return table

    def close(self) -> None:
        """Remove the table from the screen."""
        self._live.stop()
