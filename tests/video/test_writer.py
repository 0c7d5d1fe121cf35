import io
from pathlib import Path

import numpy as np
import pytest

from agelens.output.drawing import COLOURS
from agelens.results import Box, Gender, Prediction
from agelens.video.reader import Clip, Frame
from agelens.video.writer import Recording, Trail, annotate_clip
from filmed import av, film, head_of, moving, room

AGES = np.full(117, 1 / 117, np.float32)
ONE = Prediction(34, (28, 41), AGES, Gender.MALE, 0.1, None, None, None)


def written(frames, times, **settings) -> io.BytesIO:
    stream = io.BytesIO()
    height, width = frames[0].shape[:2]
    with Recording(stream, width, height, **settings) as recording:
        for frame, time in zip(frames, times, strict=True):
            recording.add(frame, time)
    stream.seek(0)
    return stream


def read(stream: io.BytesIO, file: Path) -> list[Frame]:
    file.write_bytes(stream.getvalue())
    with Clip(file) as clip:
        return list(clip)


def test_frames_keep_their_pixels_and_times(tmp_path: Path) -> None:
    frames = [room(seed=i) for i in range(5)]
    times = [0, 0.04, 0.5, 0.52, 1.3]
    back = read(written(frames, times), tmp_path / "a.mp4")
    assert [frame.time for frame in back] == pytest.approx(times, abs=1e-3)
    for frame, original in zip(back, frames, strict=True):
        assert np.abs(frame.picture().astype(int) - original).mean() < 6


def test_unordered_times_are_corrected_and_odd_sizes_padded_by_a_pixel(tmp_path: Path) -> None:
    back = read(written([room(121, 161)] * 4, [0, 0.1, 0.1, 0.05]), tmp_path / "a.mp4")
    assert [frame.picture().shape for frame in back] == [(122, 162, 3)] * 4
    assert [frame.time for frame in back] == sorted(frame.time for frame in back)


@pytest.mark.parametrize(
    ("name", "codec", "sound", "expected"),
    [
        ("a.mp4", "libx264", "aac", "aac"), ("a.webm", "libvpx", "libopus", "opus"),
        ("a.avi", "mjpeg", "mp3", "mp3"), ("a.mov", "libx264", "pcm_s16le", "aac"),
        ("a.ts", "libx264", "mp2", "aac"),
    ],
)  # fmt: skip
def test_the_sound_is_kept(tmp_path: Path, name, codec, sound, expected) -> None:
    frames = [room()] * 20
    file = film(tmp_path / name, frames, codec=codec, sound=sound)
    stream = written(frames, [i / 10 for i in range(20)], sound=file)
    with av.open(stream) as container:
        (heard,) = container.streams.audio
        assert heard.codec_context.codec.canonical_name == expected
        waves = [frame.to_ndarray().astype(float) for frame in container.decode(audio=0)]
        samples, rate = np.concatenate([wave.mean(axis=0) for wave in waves]), heard.rate
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
    silent = film(tmp_path / "b.mp4", frames)
    with av.open(written(frames, [i / 10 for i in range(10)], sound=silent)) as container:
        assert not container.streams.audio


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(10, 12, 3\): expected \(240, 320, 3\)"):
        written([room(), room(10, 12)], [0, 0.1])


@pytest.mark.parametrize(
    ("time", "left"),
    [
        (0.05, None), (0.15, 0), (0.2, 0), (0.25, 25), (0.45, 100), (0.6, None), (2.2, None),
        (2.35, 50), (2.45, 50), (3, None),
    ],
)  # fmt: skip
def test_a_box_is_interpolated_and_left_out_where_nobody_was_visible(time, left) -> None:
    boxes = [Box(x, 10, x + 40, 60) for x in (0, 100, 50)]
    box = Trail(1, ONE, [0.2, 0.4, 2.4], boxes).box_at(time, 0.1, 1.0)
    assert (box and (box.left, box.top, box.right, box.bottom)) == (
        None if left is None else pytest.approx((left, 10, left + 40, 60))
    )


def test_the_copy_has_boxes_and_keeps_times_and_sound(tmp_path: Path, astronaut) -> None:
    frames = moving([head_of(astronaut)], lambda i: [(80 + 12 * i, 120)], 12)
    times = [0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    file = film(tmp_path / "a.mp4", frames, times=times, sound="aac")
    path = Trail(3, ONE, [0.0, 1.3], [Box(50, 80, 110, 160), Box(182, 80, 242, 160)])
    heard, stream = [], io.BytesIO()
    with Clip(file) as clip:
        annotate_clip(clip, stream, [path], reach=0.1, gap=2.0, on_frame=heard.append)
    assert heard == pytest.approx(times, abs=2e-3)
    back = read(stream, tmp_path / "marked.mp4")
    assert [frame.time for frame in back] == pytest.approx(times, abs=2e-3)
    blue = np.array(COLOURS[Gender.MALE])
    for frame in (back[0], back[-1]):
        x = 50 + 132 * frame.time / 1.3
        column = frame.picture()[90:150, round(x)]  # the left side of the box
        assert np.abs(column.astype(int) - blue).mean() < 60
    with av.open(str(tmp_path / "marked.mp4")) as container:
        assert len(container.streams.audio) == 1


def test_a_clip_that_changes_size_is_written_in_its_first_size(tmp_path: Path) -> None:
    class Changing(list):
        name, rate, lead = str(film(tmp_path / "a.mp4", [room()] * 2)), 10.0, 0.0

    stream = io.BytesIO()
    sizes = room()[..., ::-1], room(120, 200)[..., ::-1]
    annotate_clip(Changing(Frame(i, i / 10, pixels) for i, pixels in enumerate(sizes)), stream, [])
    stream.seek(0)
    with av.open(stream) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(320, 240)] * 2
