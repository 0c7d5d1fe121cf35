import socket
import threading
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from agelens.errors import BadClip, SourceError
from agelens.video.camera import NewestFrames, open_live
from agelens.video.reader import Clip, Frame
from filmed import film, room, streaming
from served import wait_until


class Feed:
    def __init__(self, end: Exception | None = None) -> None:
        self.closed, self.count, self._end = threading.Event(), 0, end
        self._come: SimpleQueue[bool] = SimpleQueue()
        self.give, self.finish = partial(self._come.put, True), partial(self._come.put, False)
        self.close = self.closed.set

    def __iter__(self) -> Iterator[Frame]:
        while self._come.get():
            yield Frame(self.count, self.count / 10, np.zeros((2, 2, 3), np.uint8))
            self.count += 1
        if self._end is not None:
            raise self._end


def test_frames_are_dropped_rather_than_delayed() -> None:
    feed = Feed()
    with NewestFrames(feed) as newest:
        frames = iter(newest)
        feed.give()
        assert next(frames).index == 0
        for _ in range(7):  # while the first is worked on
            feed.give()
        wait_until(lambda: feed.count == 8)
        assert next(frames).index == 7
        feed.give()
        assert next(frames).index == 8
        feed.finish()
        assert list(frames) == []
    wait_until(feed.closed.is_set)


def test_errors_of_the_source_are_raised_to_the_consumer() -> None:
    feed = Feed(end=SourceError("unplugged"))
    with NewestFrames(feed) as newest:
        feed.give()
        wait_until(lambda: feed.count == 1)
        feed.finish()
        frames = iter(newest)
        assert next(frames).index == 0
        with pytest.raises(SourceError, match="unplugged"):
            next(frames)
    assert feed.closed.is_set()


def test_an_event_ends_the_wait_for_a_frame_and_leaving_releases_the_camera() -> None:
    feed, until = Feed(), threading.Event()
    with NewestFrames(feed, until) as newest:
        frames = iter(newest)
        feed.give()
        next(frames)
        threading.Timer(0.05, until.set).start()
        assert list(frames) == []  # none comes any more
        feed.give()
    wait_until(feed.closed.is_set)


def test_a_file_is_played_at_its_own_pace(tmp_path: Path, monkeypatch) -> None:
    now, slept = [100.0], []
    sleep = lambda s: (slept.append(s), now.__setitem__(0, now[0] + s))  # noqa: E731
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr("agelens.video.camera.time", clock)
    feed = open_live(film(tmp_path / "a.mp4", [room()] * 4, times=[0, 0.1, 0.5, 0.6]))
    assert len(list(feed)) == 4
    feed.close()
    assert slept == pytest.approx([0, 0.1, 0.4, 0.1], abs=2e-3)


def test_a_camera_gives_rgb_until_it_is_unplugged(monkeypatch) -> None:
    device = Mock()
    blue = np.full((4, 6, 3), (250, 20, 10), np.uint8)  # BGR
    device.read.side_effect = [(True, blue)] * 3 + [(False, None)]
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: device)
    frames = open_live(1)
    assert next(frames).picture()[0, 0].tolist() == [10, 20, 250]
    assert [next(frames).index, next(frames).index] == [1, 2]
    with pytest.raises(SourceError, match="camera 1"):
        next(frames)
    device.release.assert_called_once()
    device.read.side_effect = [(True, blue)]
    closed = open_live(0)
    next(closed)
    closed.close()
    assert device.release.call_count == 2


def test_sources_that_cannot_be_opened_are_named(tmp_path: Path, capfd) -> None:
    with pytest.raises(SourceError, match="camera 63 cannot be opened"):
        open_live(63)
    assert capfd.readouterr().err == ""
    with pytest.raises(SourceError, match=r"no camera, stream or file 'door': expected"):
        open_live("door")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(BadClip):
        open_live(tmp_path / "a.txt")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceError, match=rf"cannot open .*:{port}/.* answers within 2 s"):
        open_live(f"http://127.0.0.1:{port}/camera", timeout=2)


def shades(count: int) -> list[np.ndarray]:
    return [np.full((48, 64, 3), 40 * i % 256, np.uint8) for i in range(count)]


@pytest.fixture
def camera_url() -> Iterator[str]:
    with streaming(shades(6)) as url:
        yield url


def test_a_stream_over_http(camera_url: str) -> None:
    feed = open_live(camera_url, timeout=5)
    seen = [round(float(frame.picture().mean()) / 40) for frame in islice(feed, 4)]
    feed.close()
    assert seen in ([0, 1, 2, 3], [1, 2, 3, 4])  # the first may go to finding out what it is


def test_frames_without_times_get_their_arrival_times(camera_url: str, monkeypatch) -> None:
    came = iter([50.0, 50.5, 50.6, 52.0])
    monkeypatch.setattr("agelens.video.reader.clock", Mock(monotonic=lambda: next(came)))
    with Clip(camera_url, live=True, timeout=5) as feed:
        assert [frame.time for frame in islice(feed, 4)] == pytest.approx([0, 0.5, 0.6, 2])
        assert feed.lead == 0


def test_a_stalled_stream_times_out() -> None:
    with (
        streaming(shades(30), stalls=True) as url,
        Clip(url, live=True, timeout=1.0) as feed,
        pytest.raises(SourceError, match="broke off: nothing came for 1 s"),
    ):
        list(feed)


def test_passwords_are_hidden(camera_url: str) -> None:
    with Clip(camera_url.replace("//", "//anna:secret@"), live=True, timeout=5) as feed:
        assert feed.name == camera_url
    with pytest.raises(SourceError) as error:
        Clip("rtsp://anna:secret@127.0.0.1:1/x", live=True, timeout=1)
    assert "secret" not in str(error.value) and "rtsp://127.0.0.1:1/x" in str(error.value)
