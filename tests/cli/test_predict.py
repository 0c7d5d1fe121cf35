import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.video.reader import Clip
from filmed import av, film, head_of, moving

COMMAND = "predict"


def test_a_piped_table_keeps_long_names_whole(run, tmp_path: Path, astronaut_path: Path) -> None:
    picture = tmp_path / ("a" * 60) / ("b" * 90 + ".jpg")
    picture.parent.mkdir()
    picture.write_bytes(astronaut_path.read_bytes())
    code, out, err = run(picture)
    assert (code, err) == (0, "")
    assert str(picture) in out and "male" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no/such.jpg"], "no/such.jpg"), (["no/such/*.jpg"], "matches"), ([], "PATH"),
        (["a.jpg", "--format", "xml"], "xml"), (["a.jpg", "--longest", "5"], "longest"),
        (["a.jpg", "--output", "a.jpg"], "inputs"), (["a.jpg", "--annotate", "taken"], "taken"),
        (["a.jpg", "--model", "nothing"], "'nothing'"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(run, tmp_path, monkeypatch, astronaut_path, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(astronaut_path.read_bytes())
    (tmp_path / "taken").write_text("")
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert (tmp_path / "a.jpg").read_bytes() == astronaut_path.read_bytes()


def test_annotated_pictures_keep_names_and_spare_inputs(run, tmp_path, astronaut_path) -> None:
    data = astronaut_path.read_bytes()
    for name in ("a.jpg", "sub/a.jpg", "sub/b.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert run(tmp_path, "--annotate", tmp_path)[0] == 0
    assert (tmp_path / "a.jpg").read_bytes() == data
    assert {item.name for item in tmp_path.iterdir()} == {
        "sub", "a.jpg", "a-2.jpg", "a-3.jpg", "b.png"
    }  # fmt: skip
    annotated = np.asarray(Image.open(tmp_path / "b.png"))
    plain = np.asarray(Image.open(astronaut_path))
    assert annotated.shape == plain.shape
    assert run(astronaut_path, "--annotate", tmp_path / "png", "--png")[0] == 0
    with Image.open(tmp_path / "png" / "astronaut.png") as picture:
        assert picture.format == "PNG"
    assert 0.001 < (annotated != plain).any(axis=-1).mean() < 0.2


def test_chips(run, tmp_path, drawn_chip, astronaut) -> None:
    for name, value in (("dark", 60), ("light", 240)):
        Image.fromarray(drawn_chip(value)).save(tmp_path / f"{name}.png")
    Image.new("RGB", (20, 30)).save(tmp_path / "oblong.png")
    code, out, err = run(tmp_path, "--chips", "--format", "jsonl", "--flip")
    dark, light, oblong = (json.loads(line) for line in out.splitlines())
    assert code == 1
    assert dark["faces"][0]["age"] < light["faces"][0]["age"]
    assert dark["faces"][0]["box"] is None
    assert "20 x 30" in oblong["error"] and "oblong.png" in err
    code, _, err = run(film(tmp_path / "a.mp4", [astronaut]), "--chips")
    assert code == 1 and "not a picture" in err


def test_a_clip_has_one_row_per_person(run, clip: Path) -> None:
    code, out, err = run(clip)
    assert (code, err) == (0, "")
    assert "0.0-0.8 s, 5 views" in out and "│    1 │" in out


def test_pictures_and_clips_in_one_csv_with_frames(run, tmp_path, clip, astronaut_path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    words = ["-f", "csv", "--per-frame", "--every", "4", "--over", "18", "--output", file]
    assert run(astronaut_path, tmp_path, *words) == (0, "", "")
    assert {item.name for item in tmp_path.iterdir()} == {"clip.mp4", "out.csv"}
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [Path(row["file"]).name for row in rows] == ["astronaut.jpg", *["clip.mp4"] * 4]
    picture, *frames, person = rows
    assert picture["views"] == picture["frame"] == "" and float(picture["age"]) > 0
    assert [(row["face"], row["frame"], row["time"]) for row in frames] == [
        ("1", "0", "0.0"), ("1", "4", "0.4"), ("1", "8", "0.8"),
    ]  # fmt: skip
    assert (person["frame"], person["views"], person["last_time"]) == ("", "3", "0.8")
    assert 0 <= float(person["p_over_18"]) <= 1


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
    assert (code, len(json.loads(out)["faces"])) == (0, 1)
    assert err.startswith(f"warning: {clip}: ")
    assert "cut off" in err and err.count("\n") == 1


def test_bad_inputs_are_reported_and_the_others_predicted(run, tmp_path, clip, astronaut_path):
    (tmp_path / "good.jpg").write_bytes(astronaut_path.read_bytes())
    for name in ("bad.jpg", "bad.mp4"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    for name in ("empty.png", "empty.webm"):
        (tmp_path / name).write_bytes(b"")
    words = ["-f", "json", "--no-flip", "--annotate", tmp_path / "marked"]
    code, out, err = run(tmp_path, *words)
    answers = {Path(answer["file"]).name: answer for answer in json.loads(out)}
    assert (code, err.count("\n")) == (1, 4)
    assert "bad.jpg" in err and "empty.png" in err
    assert "not a clip" in answers["bad.mp4"]["error"]
    assert "empty file" in answers["empty.webm"]["error"]
    assert {n: len(a["faces"]) for n, a in answers.items() if a["faces"]} == {
        "clip.mp4": 1, "good.jpg": 1
    }  # fmt: skip
    assert {item.name for item in (tmp_path / "marked").iterdir()} == {"clip.mp4", "good.jpg"}


def test_people_left_out_are_reported(run, tmp_path, astronaut) -> None:
    flash = moving([head_of(astronaut)], lambda i: [(150, 120) if i == 2 else None], 5)
    clip = film(tmp_path / "a.mp4", flash)
    code, out, err = run(clip, "--every", "1")
    assert code == 0
    assert "no face found" in out and "left out 1 seen in fewer than 3 frames" in err
    _, out, err = run(clip, "--every", "1", "--min-views", "1", "-f", "jsonl")
    assert (len(json.loads(out)["faces"]), err) == (1, "")


def test_without_pyav_clips_are_refused(run, tmp_path, clip, astronaut_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    code, out, err = run(clip)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "agelens[video]" in err
    (tmp_path / "a.jpg").write_bytes(astronaut_path.read_bytes())
    code, out, err = run(tmp_path, "-f", "jsonl")
    assert code == 0
    assert [Path(line["file"]).name for line in map(json.loads, out.splitlines())] == ["a.jpg"]
    assert err.startswith("warning: skipped 1 clips: ")
    assert run(tmp_path / "a.jpg", clip)[0] == 2
