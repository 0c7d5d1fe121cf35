import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import Result

import agelens
from agelens.evaluation import bootstrap
from commands import invoke
from labelled import table, write_folder
from photos import encoded
from reported import chip

LEAN = 8


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 60 chips of 15 people, with labels 8 years below what the tiny model says."""
    random, files, rows = np.random.default_rng(4), {}, []
    for number in range(60):
        age, female = int(random.integers(32, 68)), number % 2 == 1
        label = age - LEAN + round(random.normal(0, 2))
        files[f"{number}.png"] = encoded(chip(age, female, random), kind="PNG")
        rows.append((f"{number}.png", label, "f" if female else "m", number % 15))
    files["labels.csv"] = table("file,age,gender,person", rows)
    return write_folder(tmp_path_factory.mktemp("album") / "mine", files)


def adapt(*words: object) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "resample", partial(bootstrap.resample, resamples=300))
        patch.setenv("COLUMNS", "150")
        result = invoke("adapt", *words, "--threads", 1)
    assert result.exit_code == 0, result.output
    return result


def test_lean_is_mended_in_the_file(mine: Path, tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    done = adapt(tiny_model, "--data", mine, "-o", file)
    assert "60 faces of 15 people" in done.stdout
    assert done.stdout.split()[-2:] == [str(file), str(tmp_path / "mine.svg")]
    assert "</svg>" in (tmp_path / "mine.svg").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.onnx", "mine.svg"]
    before, after = (agelens.load(one, threads=1) for one in (tiny_model, file))
    fresh = [chip(age, True, np.random.default_rng(age)) for age in (40, 50, 60)]
    ages = np.array([[one.predict(face, chips=True)[0].age for one in (before, after)]
                     for face in fresh])  # fmt: skip
    assert ages[:, 0] - ages[:, 1] == pytest.approx(LEAN, abs=1.5)
    card = after.card["adapted"]
    assert (card["on"], card["faces"], card["people"]) == ("mine", 60, 15)
    assert "ages" in card["parts"]
    mae = card["figures"]["age_mae"]
    assert mae["before"] > LEAN - 1 and mae["after"] < 3
    assert card["date"].startswith("20")
    json.dumps(dict(after.card))


def test_model_that_is_right_stays_as_it_is(mine: Path, tiny_model: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    adapt(tiny_model, "--data", mine, "-o", once)
    done = adapt(once, "--data", mine, "-o", twice)
    first, second = (agelens.load(one, threads=1) for one in (once, twice))
    face = chip(50, True, np.random.default_rng(0))
    ages = [one.predict(face, chips=True)[0].age for one in (first, second)]
    assert ages[0] == pytest.approx(ages[1], abs=0.5)
    if not second.card["adapted"]["parts"]:
        assert "nothing gained by more than chance, so nothing changes" in done.stdout


def test_genders_alone_are_enough(mine: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mine, tmp_path / "genders")
    labels = pl.read_csv(mine / "labels.csv").select("file", "gender")
    labels.write_csv(folder / "labels.csv")
    done = adapt(tiny_model, "--data", folder, "-o", tmp_path / "new.onnx")
    assert "gender accuracy" in done.stdout and "MAE" not in done.stdout
    assert "no column person" in done.stderr
    assert agelens.load(tmp_path / "new.onnx").card["adapted"]["parts"] in ([], ["gender"])
