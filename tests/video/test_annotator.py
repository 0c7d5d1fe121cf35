"""Annotated clips: boxes also between sampled frames, and the sound kept."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agelens.output.drawing import COLOURS
from agelens.results import Box, Gender, Prediction
from agelens.video.annotator import Trail, annotate_clip
from agelens.video.reader import Clip
from filmed import av, film, head_of, moving, room

ONE = Prediction(
    34, (28, 41), np.full(117, 1 / 117, np.float32), Gender.MALE, 0.1, None, None, None
)


def trail(times, lefts) -> Trail:
    return Trail(1, ONE, list(times), [Box(x, 10, x + 40, 60) for x in lefts])


def test_a_box_is_interpolated_between_two_sightings() -> None:
    path = trail([0.2, 0.4, 2.4], [0, 100, 50])
    assert path.box_at(0.2, 0.1, 1.0) == Box(0, 10, 40, 60)
    between = path.box_at(0.25, 0.1, 1.0)
    assert between is not None
    assert between.left == pytest.approx(25)
    assert between.width == pytest.approx(40)


@pytest.mark.parametrize(
    ("time", "left"),
    [
        (0.05, None),
        (0.15, 0),
        (0.45, 100),
        (0.6, None),
        (2.2, None),
        (2.35, 50),
        (2.45, 50),
        (3, None),
    ],
)
def test_no_box_is_drawn_where_nobody_was_visible(time: float, left: float | None) -> None:
    box = trail([0.2, 0.4, 2.4], [0, 100, 50]).box_at(time, 0.1, 1.0)
    assert (None if box is None else box.left) == left


def test_the_copy_has_boxes_and_keeps_times_and_sound(tmp_path: Path, astronaut) -> None:
    head = head_of(astronaut)
    frames = moving([head], lambda i: [(80 + 12 * i, 120)], 12)
    times = [0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    file = film(tmp_path / "a.mp4", frames, times=times, sound="aac")
    path = Trail(
        3, replace(ONE, gender=Gender.MALE), [0.0, 1.3],
        [Box(50, 80, 110, 160), Box(182, 80, 242, 160)],
    )  # fmt: skip
    heard: list[float] = []
    stream = io.BytesIO()
    with Clip(file) as clip:
        annotate_clip(clip, stream, [path], reach=0.1, gap=2.0, on_frame=heard.append)
    assert heard == pytest.approx(times, abs=2e-3)
    (tmp_path / "marked.mp4").write_bytes(stream.getvalue())
    with Clip(tmp_path / "marked.mp4") as marked:
        back = list(marked)
    assert [frame.time for frame in back] == pytest.approx(times, abs=2e-3)
    blue = np.array(COLOURS[Gender.MALE])
    for frame in (back[0], back[-1]):
        x = 50 + 132 * frame.time / 1.3
        column = frame.picture()[90:150, round(x)]  # the left side of the box
        assert np.abs(column.astype(int) - blue).mean() < 60
    with av.open(str(tmp_path / "marked.mp4")) as container:
        assert len(container.streams.audio) == 1


def test_a_clip_that_changes_size_is_written_in_its_first_size(tmp_path: Path) -> None:
    class Changing:
        name, rate, lead = str(film(tmp_path / "a.mp4", [room()] * 2)), 10.0, 0.0

        def __iter__(self):
            from agelens.video.reader import Frame

            yield Frame(0, 0.0, room()[..., ::-1])
            yield Frame(1, 0.1, room(120, 200)[..., ::-1])

    stream = io.BytesIO()
    annotate_clip(Changing(), stream, [])
    stream.seek(0)
    with av.open(stream) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(320, 240)] * 2
