"""`agelens watch`: ages and genders of the people in front of a camera, live."""

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
    from agelens.cli.live_view import open_view
    from agelens.cli.predict_clips import write_frame, write_people
    from agelens.errors import AgelensError, SourceError
    from agelens.output.tables import replacing
    from agelens.predictor import load
    from agelens.video.reader import pyav, without_password

    writer = options.writer_of(form)
    if record is not None:
        pyav()  # fail at once if it is missing
        if source is not None and record.resolve() == Path(source).resolve():
            raise SourceError(f"--record {str(record)!r} is the clip itself: choose another name")
    predictor = load(
        model, threads, flip=flip, longest=longest, gender_threshold=gender_threshold,
        min_face=min_face, max_faces=max_faces,
    )  # fmt: skip
    name = f"camera {camera}" if source is None else without_password(source)
    people: dict[int, Track] = {}
    frames, end = 0, 0.0
    failure: AgelensError | None = None
    stopped = Event()
    with ExitStack() as stack:
        where = camera if source is None else source
        moments = stack.enter_context(
            closing(predictor.watch(where, timeout=timeout, until=stopped))
        )
        target = nullcontext(sys.stdout) if output is None else replacing(output)
        out = writer(stack.enter_context(target), clips=True)
        write_recording = stack.enter_context(_recording(record))
        view = stack.enter_context(closing(open_view(window)))
        stack.enter_context(_stop_on_signal(stopped))
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
    from agelens.cli.live_view import annotated
    from agelens.images.resample import shrink
    from agelens.output.tables import replacing
    from agelens.video.writer import Recording

    with replacing(target, "wb") as stream, ExitStack() as stack:
        opened: list[Recording] = []

        def write(moment: "Moment") -> None:
            if not opened:  # the size is known only now
                height, width = moment.picture.shape[:2]
                opened.append(stack.enter_context(Recording(stream, width, height)))
            opened[0].add(shrink(annotated(moment), *opened[0].size), moment.time)

        yield write


@contextmanager
def _stop_on_signal(stopped: Event) -> Iterator[None]:
    """Set the event at the first Ctrl-C (or SIGTERM); a second one ends at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: object) -> None:
        stopped.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
