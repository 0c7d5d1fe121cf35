"""Writing MP4: frames at their times, odd sizes, and sound in sync."""

import io
from pathlib import Path

import numpy as np
import pytest

from agelens.errors import MissingExtra
from agelens.video.reader import Clip
from agelens.video.writer import Recording
from filmed import av, film, room


def written(frames, times, **settings) -> io.BytesIO:
    stream = io.BytesIO()
    height, width = frames[0].shape[:2]
    with Recording(stream, width, height, **settings) as recording:
        for frame, time in zip(frames, times, strict=True):
            recording.add(frame, time)
    stream.seek(0)
    return stream


def test_frames_keep_their_pixels_and_times(tmp_path: Path) -> None:
    frames = [room(seed=i) for i in range(5)]
    times = [0, 0.04, 0.5, 0.52, 1.3]
    (tmp_path / "a.mp4").write_bytes(written(frames, times).read())
    with Clip(tmp_path / "a.mp4") as clip:
        back = list(clip)
        assert [frame.time for frame in back] == pytest.approx(times, abs=1e-3)
        for frame, original in zip(back, frames, strict=True):
            assert np.abs(frame.picture().astype(int) - original).mean() < 6


def test_times_that_do_not_increase_are_corrected(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(written([room()] * 4, [0, 0.1, 0.1, 0.05]).read())
    with Clip(tmp_path / "a.mp4") as clip:
        times = [frame.time for frame in clip]
    assert len(times) == 4
    assert times == sorted(times)


def test_odd_sizes_are_padded_by_a_pixel(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(written([room(121, 161)] * 2, [0, 0.1]).read())
    with Clip(tmp_path / "a.mp4") as clip:
        assert next(iter(clip)).picture().shape == (122, 162, 3)


@pytest.mark.parametrize(
    ("name", "codec", "sound", "expected"),
    [
        ("a.mp4", "libx264", "aac", "aac"),
        ("a.webm", "libvpx", "libopus", "opus"),
        ("a.avi", "mjpeg", "mp3", "mp3"),
        ("a.mov", "libx264", "pcm_s16le", "aac"),
        ("a.ts", "libx264", "mp2", "aac"),
    ],
)
def test_the_sound_is_kept(tmp_path: Path, name, codec, sound, expected) -> None:
    frames = [room()] * 20
    file = film(tmp_path / name, frames, codec=codec, sound=sound)
    stream = written(frames, [i / 10 for i in range(20)], sound=file)
    with av.open(stream) as container:
        (heard,) = container.streams.audio
        assert heard.codec_context.codec.canonical_name == expected
        samples = np.concatenate(
            [frame.to_ndarray().astype(float).mean(axis=0) for frame in container.decode(audio=0)]
        )
        rate = heard.rate
    assert len(samples) / rate == pytest.approx(2.0, abs=0.1)
    middle = samples[rate // 2 : rate // 2 + rate]
    pitch = np.abs(np.fft.rfft(middle)).argmax() * rate / len(middle)
    assert pitch == pytest.approx(440, abs=2)


def test_copied_sound_is_bit_for_bit_the_same(tmp_path: Path) -> None:
    frames = [room()] * 10
    file = film(tmp_path / "a.mp4", frames, sound="aac")
    stream = written(frames, [i / 10 for i in range(10)], sound=file)

    def packets(source) -> list[bytes]:
        with av.open(source) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    assert packets(stream) == packets(str(file))


def test_a_clip_without_sound_stays_silent(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mp4", [room()] * 3)
    with av.open(written([room()] * 3, [0, 0.1, 0.2], sound=file)) as container:
        assert not container.streams.audio


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(10, 12, 3\): expected \(240, 320, 3\)"):
        written([room(), room(10, 12)], [0, 0.1])


def test_without_pyav_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtra, match="video"):
        Recording(io.BytesIO(), 10, 10)
