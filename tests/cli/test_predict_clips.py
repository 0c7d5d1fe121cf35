"""Clips in `agelens predict`: rows, files, warnings, and pictures alongside."""

import csv
import json
import sys
from pathlib import Path

import pytest

from agelens.video.reader import Clip
from filmed import av, film, head_of, moving


@pytest.fixture
def run(agelens, tiny_model: Path):
    """Run `agelens predict WORDS...` with the tiny model; return (exit code, out, err)."""

    def call(*words: object) -> tuple[int, str, str]:
        done = agelens("predict", *words, "--model", tiny_model, "--threads", "1", "--no-flip")
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture
def clip(tmp_path: Path, astronaut) -> Path:
    frames = moving([head_of(astronaut)], lambda i: [(90 + 12 * i, 120)], 9)
    return film(tmp_path / "clip.mp4", frames, sound="aac", options={"movflags": "faststart"})


def test_one_row_per_person(run, clip: Path) -> None:
    code, out, err = run(clip)
    assert (code, err) == (0, "")
    assert "0.0-0.8 s, 5 views" in out
    assert "│    1 │" in out


def test_json_lists_people_with_their_times(run, clip: Path) -> None:
    code, out, _ = run(clip, "-f", "json", "--every", "2", "--over", "18")
    (answer,) = json.loads(out)
    assert code == 0
    assert (answer["file"], answer["frames"]) == (str(clip), 5)
    assert answer["seconds"] == pytest.approx(0.9, abs=0.01)
    (face,) = answer["faces"]
    assert (face["person"], face["views"]) == (1, 5)
    assert (face["first_frame"], face["last_frame"]) == (0, 8)
    assert face["age_interval"][0] < face["age"] < face["age_interval"][1]
    assert "p_over_18" in face


def test_pictures_and_clips_in_one_csv_with_frames(run, tmp_path, clip, astronaut_path) -> None:
    code, out, err = run(astronaut_path, tmp_path, "-f", "csv", "--per-frame", "--every", "4")
    rows = list(csv.DictReader(out.splitlines()))
    assert (code, err) == (0, "")
    assert [Path(row["file"]).name for row in rows] == ["astronaut.jpg", *["clip.mp4"] * 4]
    picture, *frames, person = rows
    assert picture["views"] == picture["frame"] == ""
    assert [(row["face"], row["frame"], row["time"]) for row in frames] == [
        ("1", "0", "0.0"), ("1", "4", "0.4"), ("1", "8", "0.8"),
    ]  # fmt: skip
    assert (person["frame"], person["views"], person["last_time"]) == ("", "3", "0.8")


def test_the_annotated_copy_has_the_sound(run, tmp_path, clip: Path) -> None:
    before = clip.read_bytes()
    code, _, err = run(clip, "--annotate", tmp_path)
    assert (code, err) == (0, "")
    assert clip.read_bytes() == before
    assert {item.name for item in tmp_path.iterdir()} == {"clip.mp4", "clip-2.mp4"}
    with av.open(str(tmp_path / "clip-2.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    with Clip(clip) as plain, Clip(tmp_path / "clip-2.mp4") as marked:
        changed = [
            (abs(a.picture().astype(int) - b.picture()).max(axis=-1) > 90).mean()
            for a, b in zip(plain, marked, strict=True)
        ]
    assert len(changed) == 9
    assert all(0.002 < share < 0.2 for share in changed)


def test_a_truncated_clip_is_predicted_with_a_warning(run, tmp_path, astronaut) -> None:
    frames = moving([head_of(astronaut)], lambda i: [(150, 120)], 9)
    clip = film(tmp_path / "cut.mkv", frames, codec="ffv1")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    code, out, err = run(clip, "--every", "1", "-f", "jsonl")
    assert code == 0
    assert len(json.loads(out)["faces"]) == 1
    assert err.startswith(f"warning: {clip}: ")
    assert "cut off" in err
    assert err.count("\n") == 1


def test_bad_clips_are_reported_and_the_others_predicted(run, tmp_path, clip) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no clip")
    (tmp_path / "empty.webm").write_bytes(b"")
    code, out, err = run(tmp_path, "-f", "jsonl", "--annotate", tmp_path / "marked")
    lines = {Path(line["file"]).name: line for line in map(json.loads, out.splitlines())}
    assert code == 1
    assert "not a clip" in lines["bad.mp4"]["error"]
    assert "empty file" in lines["empty.webm"]["error"]
    assert len(lines["clip.mp4"]["faces"]) == 1
    assert err.count("\n") == 2
    assert "Traceback" not in err
    assert [item.name for item in (tmp_path / "marked").iterdir()] == ["clip.mp4"]


def test_a_clip_named_like_a_picture_is_recognised(run, tmp_path, clip: Path) -> None:
    clip.rename(tmp_path / "clip.jpg")
    code, out, _ = run(tmp_path / "clip.jpg", "-f", "jsonl", "--every", "4")
    assert code == 0
    assert json.loads(out)["frames"] == 3


def test_people_left_out_are_reported(run, tmp_path, astronaut) -> None:
    heads = [head_of(astronaut)]
    flash = moving(heads, lambda i: [(150, 120) if i == 2 else None], 5)
    clip = film(tmp_path / "a.mp4", flash)
    code, out, err = run(clip, "--every", "1")
    assert code == 0
    assert "no face found" in out
    assert "left out 1 seen in fewer than 3 frames" in err
    _, out, err = run(clip, "--every", "1", "--min-views", "1", "-f", "jsonl")
    assert err == ""
    assert len(json.loads(out)["faces"]) == 1


def test_clips_are_refused_as_chips(run, clip: Path) -> None:
    code, _, err = run(clip, "--chips")
    assert code == 1
    assert "not a picture" in err


def test_without_pyav_a_clip_ends_with_what_to_install(run, clip: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    code, out, err = run(clip)
    assert (code, out) == (2, "")
    assert "agelens[video]" in err
    assert err.count("\n") == 1


def test_without_pyav_clips_of_a_folder_are_skipped(
    run, tmp_path, clip: Path, astronaut_path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.jpg").write_bytes(astronaut_path.read_bytes())
    code, out, err = run(tmp_path, "-f", "jsonl")
    assert code == 0
    assert [Path(line["file"]).name for line in map(json.loads, out.splitlines())] == ["a.jpg"]
    assert err.startswith("warning: skipped 1 clips: ")
    assert run(tmp_path / "a.jpg", clip)[0] == 2


def test_an_error_while_annotating_leaves_no_file(run, tmp_path, clip: Path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        from agelens.errors import BadClip

        raise BadClip("disk full")

    monkeypatch.setattr("agelens.video.writer.Recording.add", fail)
    code, _, err = run(clip, "--annotate", tmp_path / "marked")
    assert code == 1
    assert "disk full" in err
    assert list((tmp_path / "marked").iterdir()) == []
