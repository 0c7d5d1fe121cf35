"""`agelens watch`: ages and genders of the people before a camera, live."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from agelens.cli import options

if TYPE_CHECKING:
    from agelens.output.tables import Writer
    from agelens.video.tracks import Moment, Track


def watch(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A stream address (http, https, rtsp) or a clip; the default is a camera.",
            show_default=False,
        ),
    ] = None,
    camera: Annotated[int, typer.Option("--camera", "-c", min=0, help="Number of the camera.")] = 0,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, help="Stop after this many seconds.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", "-r", help="Write the annotated video to this MP4 file."),
    ] = None,
    window: Annotated[
        bool | None,
        typer.Option("--window/--no-window", help="Show a window (default: if the system can)."),
    ] = None,
    form: options.Format = "table",
    output: options.OutputFile = None,
    per_frame: options.PerFrame = False,
    min_views: options.MinViews = 3,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.1, help="Seconds to wait for a stream."),
    ] = 10.0,
    gender_threshold: options.GenderThreshold = 0.5,
    min_face: options.MinFace = 0,
    max_faces: options.MaxFaces = None,
    model: options.Model = None,
    threads: options.Threads = None,
    flip: options.Flip = None,
    longest: options.Longest = 1280,
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
    from agelens.cli.live_view import view
    from agelens.errors import AgelensError, SourceError
    from agelens.output.tables import replacing, writer
    from agelens.predictor import load
    from agelens.video.reader import pyav, without_password

    kind = options.format_of(form)
    if record is not None:
        pyav()  # or say at once what to install
        if source is not None and record.resolve() == Path(source).resolve():
            raise SourceError(f"--record {str(record)!r} is the clip itself: choose another name")
    predictor = load(
        model, threads, flip=flip, longest=longest, gender_threshold=gender_threshold,
        min_face=min_face, max_faces=max_faces,
    )  # fmt: skip
    broke_off: AgelensError | None = None
    stopped = Event()
    with ExitStack() as stack:
        where = camera if source is None else source
        moments = stack.enter_context(
            closing(predictor.watch(where, timeout=timeout, until=stopped))
        )
        target = nullcontext(sys.stdout) if output is None else replacing(output)
        out = writer(kind, stack.enter_context(target), clips=True)
        film = stack.enter_context(_recorded(record))
        shown = stack.enter_context(closing(view(window)))
        stack.enter_context(_ctrl_c_sets(stopped))
        name = f"camera {camera}" if source is None else without_password(source)
        people = _People(name, out, per_frame)
        try:
            for moment in moments:
                people.add(moment)
                film(moment)
                if not shown.show(moment) or stopped.is_set():
                    break
                if seconds is not None and moment.time >= seconds:
                    break
        except AgelensError as error:
            if not people.frames:
                raise
            broke_off = error  # who was there, and the film, are kept all the same
        shown.close()
        people.write(min_views)
    if broke_off is not None:
        raise broke_off


class _People:
    """Writes each frame as it comes where asked for, and everyone in the end."""

    def __init__(self, name: str, out: "Writer", per_frame: bool) -> None:
        self._name, self._out, self._per_frame = name, out, per_frame
        self._tracks: dict[int, Track] = {}
        self.frames, self._end = 0, 0.0

    def add(self, moment: "Moment") -> None:
        self.frames, self._end = self.frames + 1, moment.time
        self._tracks.update((track.number, track) for track in moment.tracks)
        if self._per_frame:
            self._out.add(
                self._name, moment.views,
                about={"frame": moment.frame, "time": round(moment.time, 3)},
                each=[{"person": track.number} for track in moment.tracks],
            )  # fmt: skip
            self._out.stream.flush()

    def write(self, least_views: int) -> None:
        from agelens.cli.predict_clips import write_people

        write_people(
            self._out, self._name, list(self._tracks.values()), self.frames, self._end, least_views
        )
        self._out.close()


@contextmanager
def _recorded(target: Path | None) -> "Iterator[Callable[[Moment], None]]":
    """Give a function that writes a moment, marked, to the file; it is whole in the end."""
    if target is None:
        yield lambda moment: None
        return
    from agelens.cli.live_view import marked
    from agelens.images.resample import shrink
    from agelens.output.tables import replacing
    from agelens.video.writer import Recording

    with replacing(target, "wb") as stream, ExitStack() as stack:
        film: list[Recording] = []

        def write(moment: "Moment") -> None:
            if not film:  # only now is the size known
                height, width = moment.picture.shape[:2]
                film.append(stack.enter_context(Recording(stream, width, height)))
            film[0].add(shrink(marked(moment), *film[0].size), moment.time)

        yield write


@contextmanager
def _ctrl_c_sets(stopped: Event) -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) set the event; a second one ends at once."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}

    def stop(name: int, _: object) -> None:
        stopped.set()
        signal.signal(name, before[signal.Signals(name)])

    for name in before:
        signal.signal(name, stop)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
