"""`agelens watch`: ages and genders of people before a camera, in a window or the terminal."""

import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, TypeAlias

from typer import Argument, Option

from agelens.cli import console, options
from agelens.errors import AgelensError, SourceError

if TYPE_CHECKING:
    from agelens.images.decode import Picture
    from agelens.video.pipeline import Moment, Track

Show: TypeAlias = "Callable[[Moment], bool]"
RECENT = 3.0  # seconds for which a person who is gone stays in the terminal's table


def watch(
    source: Annotated[str | None, Argument(
        help="A stream address (http, https, rtsp) or a clip; the default is a camera.",
    )] = None,
    *,
    camera: Annotated[int, Option("--camera", "-c", min=0, help="Number of the camera.")] = 0,
    seconds: Annotated[float | None, Option(min=0, help="Stop after this many seconds.")] = None,
    record: Annotated[
        Path | None, Option("--record", "-r", help="Write the annotated video to this MP4 file.")
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
) -> None:  # fmt: skip
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
    from agelens.cli.predict import People
    from agelens.images.resample import shrink
    from agelens.output.tables import replacing
    from agelens.video.reader import pyav, without_password
    from agelens.video.writer import Recording

    writer = options.writer_of(form)
    if record is not None:
        pyav()  # fail at once if it is missing
        if source is not None and record.resolve() == Path(source).resolve():
            raise SourceError(f"--record {str(record)!r} is the clip itself: choose another name")
    predictor = settings.load()
    name = f"camera {camera}" if source is None else without_password(source)
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
        people, end = People(out, name, per_frame, min_views), 0.0
        film = None if record is None else stack.enter_context(replacing(record, "wb"))
        recording: Recording | None = None
        handlers = stack.enter_context(console.on_signals(stop))
        try:
            with open_view(window) as show:
                for moment in moments:
                    end = moment.time
                    people.add(moment)
                    if film is not None:
                        height, width = moment.picture.shape[:2]
                        recording = recording or stack.enter_context(Recording(film, width, height))
                        recording.add(shrink(_annotated(moment), *recording.size), moment.time)
                    is_over = seconds is not None and end >= seconds
                    if not show(moment) or stopped.is_set() or is_over:
                        break
        except AgelensError as error:
            if not people.frames:
                raise
            failure = error  # the people so far, and the recording, are kept
        people.write(end)
        out.close()
    if failure is not None:
        raise failure


def _annotated(moment: "Moment") -> "Picture":
    from agelens.output.drawing import annotate

    predictions = [track.prediction for track in moment.tracks]
    return annotate(moment.picture, predictions, [track.number for track in moment.tracks])


def has_window() -> bool:
    """Return whether OpenCV can open a window: it needs a display and a build with a GUI."""
    import cv2

    gui = re.search(r"GUI:\s+(\S+)", cv2.getBuildInformation())
    display = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return gui is not None and gui[1] != "NONE" and display


def open_view(window: bool | None) -> AbstractContextManager[Show]:
    """Open a window or else, in a terminal, a table; give a function that shows a moment.

    `window` None opens a window if one can be opened. The function returns False to end.
    """
    if window or (window is None and has_window()):
        return _window()
    if console.err.is_terminal and not console.quiet and not console.json_logs:
        return _terminal()
    return nullcontext(lambda moment: True)


@contextmanager
def _window() -> Iterator[Show]:
    import cv2

    def show(moment: "Moment") -> bool:
        cv2.imshow("agelens", _annotated(moment)[..., ::-1])
        return (cv2.waitKey(1) & 0xFF) not in (ord("q"), 27)

    try:
        yield show
    finally:
        cv2.destroyAllWindows()


@contextmanager
def _terminal() -> Iterator[Show]:
    from rich.live import Live
    from rich.table import Table

    from agelens.output.tables import gender_words

    tracks: dict[int, Track] = {}
    frames: deque[tuple[int, float]] = deque(maxlen=20)
    live = Live(console=console.err, transient=True, auto_refresh=False)

    def show(moment: "Moment") -> bool:
        frames.append((moment.frame, moment.time))
        tracks.update((track.number, track) for track in moment.tracks)
        for number in [n for n, one in tracks.items() if one.last_time < moment.time - RECENT]:
            del tracks[number]
        (first, start), (last, end) = frames[0], frames[-1]
        took, speed = end - start, ""
        if took > 0:
            speed = f"{(len(frames) - 1) / took:.1f} of {(last - first) / took:.1f}"
        caption = f"{moment.time:.0f} s, {speed} frames per second processed; Ctrl-C ends"
        table = Table(header_style="bold", caption=caption)
        for name in ("", "person, age (9 in 10)", "gender", "seen", "status"):
            table.add_column(name, no_wrap=True)
        for number, track in sorted(tracks.items()):
            one = track.prediction
            seen = f"{track.last_time - track.first_time:.0f} s"
            style = "" if track.last_frame == moment.frame else "dim"
            table.add_row(str(number), str(one), gender_words(one), seen, one.remark, style=style)
        live.update(table, refresh=True)
        return True

    with live:
        yield show
