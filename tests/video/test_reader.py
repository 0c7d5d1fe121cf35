import io
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.errors import BadClip, MissingExtra, SourceError
from agelens.images.sources import HEAD, is_clip
from agelens.video.reader import Clip, Frame, sample
from agelens.video.writer import Recording
from filmed import av, film, room


def numbered(count: int = 10) -> list[np.ndarray]:
    frames = [room() for _ in range(count)]
    for i, frame in enumerate(frames):
        frame[:120, :160] = 20 * i + 20
    return frames


def marks(clip: Clip) -> list[int]:
    return [round(float(frame.picture()[10:110, 10:150].mean()) / 20) - 1 for frame in clip]


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("a.mp4", "libx264", "aac"), ("a.mov", "libx264", "pcm_s16le"), ("a.mkv", "ffv1", None),
        ("a.webm", "libvpx", "libopus"), ("a.avi", "mjpeg", "mp3"), ("a.ts", "libx264", "mp2"),
    ],
)  # fmt: skip
def test_every_frame_of_the_usual_containers(tmp_path: Path, name, codec, sound) -> None:
    file = film(tmp_path / name, numbered(), codec=codec, sound=sound)
    assert is_clip(file.read_bytes()[:HEAD], "")
    with Clip(file) as clip:
        assert marks(clip) == list(range(10))
        assert clip.damage is None
        assert clip.end == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(("turned", "quarter"), [(90, 1), (-90, 3), (180, 2), (0, 0)])
def test_frames_are_upright_and_rgb(tmp_path: Path, turned: int, quarter: int) -> None:
    shown = room()
    shown[:60, :80] = (250, 30, 30)
    with Clip(film(tmp_path / "a.mp4", [shown] * 2, turned=turned)) as clip:
        picture = next(iter(clip)).picture()
    expected = np.rot90(shown, quarter)
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).mean() < 8


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "empty file"),
        ("text.mp4", b"not a clip at all" * 40, "not a clip"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "not a clip"),
        ("concat.mp4", b"ffconcat version 1.0\nfile a.mp4\n", "not a clip"),
        ("picture.mp4", b"\xff\xd8\xff\xe0" + bytes(200), "not a clip"),
    ],
)
def test_files_that_are_not_clips_are_one_error(tmp_path: Path, name, content, says) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadClip, match=says) as error:
        list(Clip(tmp_path / name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["none.mp4", "concat:a.mp4|b.mp4"])
def test_missing_files_are_named(name: str) -> None:
    with pytest.raises(SourceError, match=f"no such file: .*{re.escape(name)}"):
        Clip(name)


def test_sound_alone_is_not_a_clip(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=48000, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        heard.sample_rate = 48000
        container.mux(tone.encode(heard))
        container.mux(tone.encode(None))
    with pytest.raises(BadClip, match="no picture"):
        Clip(tmp_path / "a.mp4")


def test_pixels_that_are_not_square_are_stretched_within_the_limit(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mp4", numbered(2), aspect=Fraction(3, 2))
    with Clip(file) as clip:
        assert next(iter(clip)).picture().shape == (240, 480, 3)
    with Clip(file, max_pixels=320 * 240) as clip, pytest.raises(BadClip, match="limit"):
        list(clip)
    with pytest.raises(BadClip, match=r"320 x 240 pixels: the limit is 10,000"):
        Clip(file, max_pixels=10_000)  # before decoding


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mjpeg"), ("a.mkv", "ffv1")])
def test_the_readable_part_of_a_truncated_clip_is_returned(tmp_path: Path, name, codec) -> None:
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    file = film(tmp_path / name, numbered(), codec=codec, options=options)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 6 // 10])
    with Clip(file) as clip:
        seen = marks(clip)
        assert 2 <= len(seen) < 9 and seen == list(range(len(seen)))
        assert re.search(r"cut off: 0\..*of 1\.0 s", clip.damage)


def test_damaged_frames_are_skipped_and_reported(tmp_path: Path) -> None:
    file = film(tmp_path / "a.mkv", numbered(), codec="ffv1")
    data = bytearray(file.read_bytes())
    middle = len(data) // 2  # where the fifth frame ends and the sixth begins
    data[middle : middle + 3000] = bytes(i * 7 % 251 for i in range(3000))
    file.write_bytes(data)
    with Clip(file) as clip:
        seen = marks(clip)
        assert seen[:4] == [0, 1, 2, 3] and len(seen) < 10 and clip.damage


@given(st.data())
def test_any_damage_ends_in_frames_or_one_error(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = folder / "whole.mp4"
    if not whole.exists():
        film(whole, [frame[::4, ::4] for frame in numbered(4)], options={"movflags": "faststart"})
    content = bytearray(whole.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=12)):
        content[place] = data.draw(st.integers(0, 255))
    (folder / "broken.mp4").write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        with Clip(folder / "broken.mp4") as clip:
            assert all(frame.picture().dtype == np.uint8 for frame in clip)
    except (BadClip, SourceError) as error:
        assert str(error)


def test_without_pyav_the_error_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    for opened in (lambda: Clip(tmp_path / "a.mp4"), lambda: Recording(io.BytesIO(), 10, 10)):
        with pytest.raises(MissingExtra, match=r"agelens\[video\]"):
            opened()


@pytest.mark.parametrize(
    ("head", "suffix", "clip"),
    [
        (b"\0\0\0\x20ftypisom", "", True), (b"\0\0\0\x20ftypavif", ".mp4", False),
        (b"\0\0\0\x20ftypheic", "", False), (b"\xff\xd8\xff\xe0", ".mp4", False),
        (b"\x1aE\xdf\xa3", ".jpg", True), (b"RIFF....WEBPVP8 ", "", False),
        (b"RIFF....AVI LIST", "", True), (b"", ".MP4", True), (b"", ".jpg", False),
        (b"hello", ".webm", True),
    ],
)  # fmt: skip
def test_clips_are_recognised_by_their_first_bytes(head: bytes, suffix: str, clip: bool) -> None:
    assert is_clip(head, suffix) is clip


def frames_at(times) -> list[Frame]:
    return [Frame(i, time, None) for i, time in enumerate(times)]


def test_samples_by_time_and_by_number() -> None:
    even = frames_at(i / 30 for i in range(91))
    assert [f.index for f in sample(even, 5)] == list(range(0, 91, 6))
    assert [f.index for f in sample(even, 5, every=40)] == [0, 40, 80]
    assert len(list(sample(even, None))) == 91
    uneven = frames_at([0, 0.1, 0.9, 1.0, 5.0, 5.1, 5.6])
    assert [f.time for f in sample(uneven, 2)] == [0, 0.9, 1.0, 5.0, 5.6]


@given(st.lists(st.floats(0.001, 3), min_size=1, max_size=60), st.floats(0.1, 50))
def test_no_more_frames_are_sampled_than_requested(steps: list[float], fps: float) -> None:
    times = list(np.cumsum(steps) - steps[0])
    taken = [frame.time for frame in sample(frames_at(times), fps)]
    assert taken[0] == 0 and len(taken) <= times[-1] * fps + 1 + 1e-3
