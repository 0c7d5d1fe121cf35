import io
import json
import os
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from agelens.cli import console, watch
from agelens.errors import SourceError
from agelens.predictor import Predictor
from agelens.results import Box, Gender, Prediction
from agelens.video.pipeline import Moment, Track
from agelens.video.reader import Clip

COMMAND = "watch"


def moment(frame: int, time: float, *numbers: int) -> Moment:
    one = Prediction(
        34, (28, 41), np.full(117, 1 / 117, np.float32), Gender.MALE, 0.1,
        Box(20, 20, 60, 70), None, 0.9,
    )  # fmt: skip
    tracks = [Track(n, 0, frame, 0.0, time, frame + 1, one) for n in numbers]
    return Moment(frame, time, np.full((120, 160, 3), 90, np.uint8), tracks, [one] * len(tracks))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch):
    """Let a predictor see what the test says, in place of a camera; give what was asked for."""
    asked: list[object] = []

    def script(*moments: "Moment | Exception | None", then=lambda one: None) -> list[object]:
        def watch(self, source, *, until, **settings):
            asked.append(source)
            for one in moments:
                if isinstance(one, Exception):
                    raise one
                if one is None:  # nothing comes until it is told to end
                    assert until.wait(30)
                    return
                yield one
                then(one)

        monkeypatch.setattr(Predictor, "watch", watch)
        return asked

    return script


def several(count: int) -> list[Moment]:
    return [moment(i, i / 5, 1) for i in range(count)]


def test_a_clip_is_watched_like_a_camera(run, clip: Path) -> None:
    code, out, err = run(clip, "-f", "jsonl", "--per-frame", "--min-views", "1")
    *frames, end = map(json.loads, out.splitlines())
    assert (code, err, frames[-1]["frame"]) == (0, "", 8)
    assert [face["person"] for frame in frames for face in frame["faces"]] == [1] * len(frames)
    (face,) = end["faces"]
    assert (face["person"], face["views"], end["frames"]) == (1, len(frames), len(frames))


def test_the_first_camera_is_the_default(run, scripted, tmp_path) -> None:
    asked = scripted(*several(4))
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "0.0-0.6 s, 4 views" in out
    assert run("--camera", "2", "--record", tmp_path / "film.mp4")[0] == 0
    assert [item.name for item in tmp_path.iterdir()] == ["film.mp4"]
    assert asked == [0, 2]


def test_it_ends_after_the_given_seconds(run, scripted) -> None:
    scripted(*several(100))
    _, out, _ = run("--seconds", "1", "-f", "jsonl")
    assert json.loads(out)["seconds"] == 1.0


@pytest.mark.parametrize(
    ("name", "frame", "more"),
    [(signal.SIGINT, 3, 100), (signal.SIGTERM, 3, 100), (signal.SIGINT, 0, None)],
)
def test_ctrl_c_ends_it_with_the_table(run, scripted, name, frame, more) -> None:
    seen = several(more) if more else [*several(1), None]  # None: no frame arrives any more
    scripted(*seen, then=lambda one: one.frame == frame and os.kill(os.getpid(), name))
    before = signal.getsignal(signal.SIGTERM)
    code, out, err = run()
    assert (code, err, signal.getsignal(signal.SIGTERM)) == (0, "", before)
    assert ("5 views" if more else "1 views") in out


def test_people_and_annotated_recording_are_kept_if_the_camera_fails(run, scripted, tmp_path):
    times = [0, 0.3, 0.35, 1.2]
    scripted(*(moment(i, time, 7) for i, time in enumerate(times)), SourceError("unplugged"))
    code, out, err = run("--record", tmp_path / "film.mp4")
    assert (code, err) == (2, "error: unplugged\n")
    assert "4 views" in out
    with Clip(tmp_path / "film.mp4") as recorded:
        frames = list(recorded)
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-3)
    picture = frames[2].picture()
    assert picture.shape == (120, 160, 3)
    assert 0.01 < (np.abs(picture.astype(int) - 90).max(axis=-1) > 50).mean() < 0.5
    assert [item.name for item in tmp_path.iterdir()] == ["film.mp4"]


def test_a_missing_camera_is_one_line(run, tmp_path) -> None:
    code, out, err = run("--camera", "63", "--record", tmp_path / "film.mp4")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: camera 63 cannot be opened")
    assert list(tmp_path.iterdir()) == []


def test_the_recording_does_not_replace_the_clip(run, clip: Path) -> None:
    before = clip.read_bytes()
    code, _, err = run(clip, "--record", clip)
    assert (code, clip.read_bytes()) == (2, before)
    assert "is the clip itself" in err


def test_output_goes_to_a_file(run, scripted, tmp_path) -> None:
    scripted(*(moment(i, i / 5, 1, 2) for i in range(3)))
    code, out, _ = run("-f", "csv", "--output", tmp_path / "people.csv")
    assert (code, out) == (0, "")
    header, *rows = (tmp_path / "people.csv").read_text().splitlines()
    assert "last_time" in header
    assert [row.split(",")[:2] for row in rows] == [["camera 0", "1"], ["camera 0", "2"]]


def test_the_terminal_shows_the_people(monkeypatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=screen, force_terminal=True, width=100))
    with watch.open_view(None if not watch.has_window() else False) as show:
        assert show(moment(0, 0.0, 1, 2))
        assert show(moment(10, 1.0, 2))
        for words in ("34 (28-41)", "1.0 of 10.0 frames per second processed"):
            assert words in screen.getvalue()
        screen.truncate(0)
        assert show(moment(60, 6.0, 2))
    assert " 1 │" not in screen.getvalue()  # long gone


def test_a_window_opens_where_possible(monkeypatch) -> None:
    seen: list[np.ndarray] = []
    keys = iter([-1, ord("q")])
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                 QT5\n")
    monkeypatch.setattr(cv2, "imshow", lambda name, picture: seen.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: next(keys))
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: seen.append(None))
    monkeypatch.setenv("DISPLAY", ":0")
    with watch.open_view(None) as show:
        assert show(moment(0, 0.0, 1))
        assert not show(moment(1, 0.1, 1))
    assert seen[0].shape == (120, 160, 3)
    assert (seen[0] == [233, 180, 86]).all(axis=-1).sum() > 100  # the box, in BGR
    assert seen[-1] is None


def test_no_window_without_a_display_or_in_a_headless_build(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for display, build, possible in (
        ("", "GTK3", False),
        (":0", "GTK3", True),
        (":0", "NONE", False),
    ):
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.setattr(cv2, "getBuildInformation", lambda build=build: f"GUI:   {build}")
        assert watch.has_window() == possible
    with watch.open_view(None) as show:  # standard error is no terminal
        assert show(moment(0, 0.0, 1))
