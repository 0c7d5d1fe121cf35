import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agelens.data.dataset import published
from agelens.errors import DatasetError, ModelError
from agelens.evaluation import bootstrap, groups
from agelens.evaluation.evaluate import Evaluator, count_training_pictures
from agelens.inference.runtime import Model
from commands import invoke
from labelled import AGES, write_dataset, write_folder

run = partial(invoke, "evaluate")
MakeModel = Callable[..., Path]
BLANK = np.full((120, 120, 3), 128, np.uint8)
LEFT = np.where(np.arange(60) % 2 == 1, 230, 20)  # the red of the left half, face by face


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces that the tiny model of conftest.py reads the age and, unmirrored, the gender off."""
    names = {}
    for number, (age, red) in enumerate(zip(AGES, LEFT.tolist(), strict=True)):
        brightness = age * 2.55
        rest = 3 * brightness - red
        picture = np.full((200, 200, 3), round(brightness), np.uint8)
        picture[:, :100] = (red, round(rest / 2), rest - round(rest / 2))
        names[f"{number:02}.png"] = picture
    return write_dataset(tmp_path_factory.mktemp("data") / "drawn", names)


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "resample", partial(bootstrap.resample, resamples=200))
        patch.setattr(groups, "PERMUTATIONS", 100)
        yield


def evaluate(output: Path, *words: object, at: str = "") -> dict[str, Any]:
    result = run(*words, "--output", output, "--threads", 1)
    assert result.exit_code == 0, result.output
    file = output / at / "evaluation.json"
    assert str(file) in result.stdout.splitlines() and "%" in result.stdout
    table: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return table


def test_figures_of_a_perfect_model(dataset: Path, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model({"name": "tiny", "interval": {"low": 0.1, "high": 0.9}})
    about = evaluate(tmp_path, model, "--data", dataset)
    assert (about["faces"], about["flip"], about["data"]["folds"]) == (60, False, [8, 9])
    assert about["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert about["model"]["card"]["name"] == "tiny"
    assert about["interval_levels"] == {"low": [0.1] * 117, "high": [0.9] * 117}
    figures = about["subsets"]["all"]["figures"]
    assert figures["age_mae"]["value"] < 0.4
    assert figures["gender_accuracy"] == {"value": 1, "low": 1, "high": 1}
    assert figures["interval_width"]["value"] == 10  # a bell of 4 years, from 10 to 90 %
    assert about["subsets"]["under 13"] == {"first_age": 0, "last_age": 12, "faces": 0}
    assert sum(row["faces"] for row in about["by_decade"]) == 60
    by = {tuple(breakdown["by"]): breakdown["groups"] for breakdown in about["by_group"]}
    assert {g["group"]["gender"]: g["faces"] for g in by["gender",]} == {"female": 30, "male": 30}
    assert [g["faces"] for g in by["race",]] == [20, 20]  # a third has no label
    assert set(by) >= {("gender", "race"), ("gender", "race", "age")}


def test_predictions_have_one_row_per_face(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    saved = evaluate(tmp_path, tiny_model, "--data", dataset)
    again = evaluate(tmp_path, tiny_model, "--data", dataset)
    assert all(again[key] == saved[key] for key in ("subsets", "by_decade", "by_group"))
    table = pl.read_parquet(tmp_path / "predictions.parquet")
    assert table.schema["age_probabilities"] == pl.Array(pl.Float32, 117)
    assert table["file"].to_list() == [f"{number:02}.png" for number in range(60)]
    for name in ("age_median", "age_mean"):
        assert table[name].to_numpy() == pytest.approx(np.array(AGES), abs=0.6)
    assert table["female_probability"].to_numpy() == pytest.approx(LEFT / 255, abs=1e-4)
    np.testing.assert_allclose(table["age_probabilities"].to_numpy().sum(axis=1), 1, atol=1e-5)
    mae = np.abs(table["age_median"].to_numpy() - table["age"].to_numpy()).mean()
    assert saved["subsets"]["all"]["figures"]["age_mae"]["value"] == pytest.approx(mae)
    assert not list(tmp_path.glob("*.part"))


def test_flip_as_the_card_says_averages_with_the_mirror_image(
    dataset: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model({"name": "tiny", "flip": True})
    assert evaluate(tmp_path / "a", model, "--data", dataset)["flip"] is True
    table = pl.read_parquet(tmp_path / "a" / "predictions.parquet")
    mean = (LEFT + np.round(np.array(AGES) * 2.55)) / 2 / 255
    assert table["female_probability"].to_numpy() == pytest.approx(mean, abs=1e-4)
    assert evaluate(tmp_path / "b", model, "--data", dataset, "--no-flip")["flip"] is False


def test_differences_from_the_first(dataset: Path, make_model: MakeModel, tmp_path: Path) -> None:
    first, second = make_model({"name": "a"}), make_model({"name": "b"})
    difference = evaluate(tmp_path, first, second, "--data", dataset, at="tiny-2")["difference"]
    assert '"difference"' not in (tmp_path / "tiny" / "evaluation.json").read_text("utf-8")
    assert (difference["from"], difference["faces"]) == ("tiny", 60)
    assert difference["figures"]["age_mae"] == {"value": 0, "low": 0, "high": 0}


def test_missed_faces_are_counted(astronaut: np.ndarray, tiny_model: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", {"a.png": astronaut, "b.png": BLANK, "c.png": BLANK})
    about = evaluate(tmp_path / "out", tiny_model, "--data", data, "--pipeline")
    assert (about["faces"], about["missed"]["faces"]) == (3, 2)
    assert about["missed"]["share"]["value"] == pytest.approx(2 / 3)
    assert about["subsets"]["all"]["faces"] == 1
    table = pl.read_parquet(tmp_path / "out" / "predictions.parquet")
    for name in ("age_median", "age_probabilities"):
        assert table[name].is_null().to_list() == [False, True, True]
    blank = write_dataset(tmp_path / "blank", {"a.png": BLANK, "b.png": BLANK})
    about = evaluate(tmp_path / "none", tiny_model, "--data", blank, "--pipeline")
    assert about["missed"]["faces"] == 2 and "figures" not in about["subsets"]["all"]


def test_folders_of_runs_and_files(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    files = {"run.json": b"{}", "model.onnx": tiny_model.read_bytes()}
    run_folder = write_folder(tmp_path / "runs" / "fine", files)
    plain, trained, out = Model(tiny_model), Model(run_folder), tmp_path / "out"
    evaluator = Evaluator(dataset, 1, "validation", flip=True)
    assert evaluator.folders([plain, trained], None) == [
        Path("evaluation/tiny-split1-validation-flip"),
        run_folder / "evaluation-split1-validation-flip",
    ]
    assert evaluator.folders([trained], out) == [out]
    folders = [out / name for name in ("tiny", "fine", "tiny-2")]
    assert evaluator.folders([plain, trained, plain], out) == folders


def test_errors_name_the_problem(
    dataset: Path, tiny_model: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    odd = make_model({"name": "odd", "interval": {"low": 0.9, "high": 0.1}})
    for words, kind, message in [
        (["nosuch", "--data", dataset], ModelError, "no model 'nosuch'"),
        ([odd, "--data", dataset, "--output", tmp_path], ModelError, "interval"),
        ([tiny_model, "--data", "nowhere"], DatasetError, "'nowhere' is not a dataset folder"),
        ([tiny_model, "--data", dataset, "--split", 1], DatasetError, "no faces in the test folds"),
    ]:
        with pytest.raises(kind, match=message):
            raise run(*words).exception
    for wrong in (["--split", "7"], ["--part", "most"], ["--threads", "0"]):
        assert run(tiny_model, "--data", dataset, *wrong).exit_code == 2


def test_missing_and_bad_pictures_are_named(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(dataset, tmp_path / "data")
    (data / "images" / "07.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"07\.png"):
        raise run(tiny_model, "--data", data, "--output", tmp_path / "out").exception
    assert not (tmp_path / "out").exists()
    (data / "images" / "07.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 60 pictures are missing.*'07\.png'"):
        Evaluator(data)


def test_training_pictures_are_counted_by_the_card(make_model: MakeModel, tiny_model: Path) -> None:
    names = [name for name, fold in published().items() if fold in (0, 7, 8)][:3000]
    learnt = sum(published()[name] in (0, 7) for name in names)
    known = Model(make_model({"name": "k", "data": {"folds": "v1", "split": 0}}), 1)
    assert 0 < learnt < len(names)
    assert count_training_pictures(known, [*names, "mine.jpg"]) == learnt
    assert count_training_pictures(Model(tiny_model, 1), names) is None
