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
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data.folds import published
from agelens.errors import DatasetError, ModelError
from agelens.evaluation import bootstrap, groups
from agelens.evaluation.evaluate import (
    Evaluator,
    Plan,
    count_training_pictures,
    evaluation_folders,
)
from agelens.inference.runtime import Model
from labelled import AGES, write_dataset


def chip(age: int, female: bool) -> np.ndarray:
    """Draw what the tiny model of conftest.py reads this age and, unmirrored, this gender off."""
    brightness = age * 2.55
    red = 230 if female else 20
    picture = np.full((200, 200, 3), round(brightness), np.uint8)
    rest = 3 * brightness - red
    picture[:, :100] = (red, round(rest / 2), rest - round(rest / 2))
    return picture


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = {f"{number:02}.png": chip(age, number % 2 == 1) for number, age in enumerate(AGES)}
    return write_dataset(tmp_path_factory.mktemp("data") / "drawn", names)


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "resample", partial(bootstrap.resample, resamples=200))
        patch.setattr(groups, "PERMUTATIONS", 100)
        yield


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def evaluate(output: Path, *words: object) -> dict[str, Any]:
    """Run the command; return the content of evaluation.json."""
    result = run(*words, "--output", output, "--threads", 1)
    assert result.exit_code == 0, result.output
    table: dict[str, Any] = json.loads((output / "evaluation.json").read_text("utf-8"))
    return table


def test_a_perfect_model_gets_perfect_figures(
    dataset: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model({"name": "tiny", "interval": {"low": 0.1, "high": 0.9}})
    result = run(model, "--data", dataset, "--output", tmp_path / "out", "--threads", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(tmp_path / "out" / "evaluation.json")
    assert "100.0%" in result.stdout

    about = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert about["faces"] == 60
    assert about["flip"] is False
    assert about["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert about["model"]["card"]["name"] == "tiny"
    assert about["data"]["folds"] == [8, 9]
    assert about["interval_levels"] == {"low": [0.1] * 117, "high": [0.9] * 117}
    figures = about["subsets"]["all"]["figures"]
    assert figures["age_mae"]["value"] < 0.4
    assert figures["gender_accuracy"] == {"value": 1, "low": 1, "high": 1}
    # between the 10th and 90th percentile of a bell of 4 years
    assert figures["interval_width"]["value"] == pytest.approx(2 * 1.2816 * 4, abs=0.1)
    assert about["subsets"]["under 13"] == {"first_age": 0, "last_age": 12, "faces": 0}
    assert sum(row["faces"] for row in about["by_decade"]) == 60
    by = {tuple(breakdown["by"]): breakdown["groups"] for breakdown in about["by_group"]}
    assert {g["group"]["gender"]: g["faces"] for g in by["gender",]} == {"female": 30, "male": 30}
    assert [g["faces"] for g in by["race",]] == [20, 20]  # a third has no label
    assert set(by) >= {("gender", "race"), ("gender", "race", "age")}


def test_predictions_have_one_row_per_face(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    saved = evaluate(tmp_path, tiny_model, "--data", dataset)
    table = pl.read_parquet(tmp_path / "predictions.parquet")
    assert table.schema["age_probabilities"] == pl.Array(pl.Float32, 117)
    assert table["file"].to_list() == [f"{number:02}.png" for number in range(60)]
    assert table["age_median"].to_numpy() == pytest.approx(np.array(AGES), abs=0.6)
    assert table["age_mean"].to_numpy() == pytest.approx(np.array(AGES), abs=0.6)
    assert table["female_probability"].to_numpy() == pytest.approx(
        np.where(np.arange(60) % 2 == 1, 230, 20) / 255, abs=1e-4
    )
    np.testing.assert_allclose(table["age_probabilities"].to_numpy().sum(axis=1), 1, atol=1e-5)
    mae = np.abs(table["age_median"].to_numpy() - table["age"].to_numpy()).mean()
    assert saved["subsets"]["all"]["figures"]["age_mae"]["value"] == pytest.approx(mae)
    assert not list(tmp_path.glob("*.part"))


def test_flip_averages_with_the_mirror_image(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    evaluate(tmp_path, tiny_model, "--data", dataset, "--flip")
    table = pl.read_parquet(tmp_path / "predictions.parquet")
    left = np.where(np.arange(60) % 2 == 1, 230, 20)
    right = np.array([round(age * 2.55) for age in AGES])
    assert table["female_probability"].to_numpy() == pytest.approx(
        (left + right) / 2 / 255, abs=1e-4
    )


def test_flip_defaults_to_the_card(
    dataset: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model({"name": "tiny", "flip": True})
    assert evaluate(tmp_path / "a", model, "--data", dataset)["flip"] is True
    assert evaluate(tmp_path / "b", model, "--data", dataset, "--no-flip")["flip"] is False


def test_later_models_are_compared_with_the_first(
    dataset: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = make_model({"name": "a"}), make_model({"name": "b"})
    result = run(first, second, "--data", dataset, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    ours = json.loads((tmp_path / "tiny-2" / "evaluation.json").read_text("utf-8"))
    assert "difference" not in json.loads((tmp_path / "tiny" / "evaluation.json").read_text())
    assert ours["difference"]["from"] == "tiny"
    assert ours["difference"]["faces"] == 60
    assert ours["difference"]["figures"]["age_mae"] == {"value": 0, "low": 0, "high": 0}


def test_pipeline_counts_missed_faces(
    astronaut: np.ndarray, tiny_model: Path, tmp_path: Path
) -> None:
    blank = np.full((120, 120, 3), 128, np.uint8)
    data = write_dataset(tmp_path / "data", {"a.png": astronaut, "b.png": blank, "c.png": blank})
    about = evaluate(tmp_path / "out", tiny_model, "--data", data, "--pipeline")
    assert (about["faces"], about["missed"]["faces"]) == (3, 2)
    assert about["missed"]["share"]["value"] == pytest.approx(2 / 3)
    assert about["subsets"]["all"]["faces"] == 1
    table = pl.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert table["age_median"].is_null().to_list() == [False, True, True]
    assert table["age_probabilities"].is_null().to_list() == [False, True, True]


def test_pipeline_that_finds_no_face_writes_an_evaluation(tiny_model: Path, tmp_path: Path) -> None:
    blank = np.full((120, 120, 3), 128, np.uint8)
    data = write_dataset(tmp_path / "data", {"a.png": blank, "b.png": blank})
    about = evaluate(tmp_path / "out", tiny_model, "--data", data, "--pipeline")
    assert about["missed"]["faces"] == 2
    assert "figures" not in about["subsets"]["all"]


def test_evaluation_folders_of_run_folders_and_files(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    run_folder = tmp_path / "runs" / "fine"
    run_folder.mkdir(parents=True)
    shutil.copy(tiny_model, run_folder / "model.onnx")
    (run_folder / "run.json").write_text("{}")
    plain, trained = Model(tiny_model), Model(run_folder)
    plan = Plan(dataset, 1, "validation", flip=True)
    assert evaluation_folders([plain, trained], plan, None) == [
        Path("evaluation/tiny-split1-validation-flip"),
        run_folder / "evaluation-split1-validation-flip",
    ]
    out = tmp_path / "out"
    assert evaluation_folders([trained], plan, out) == [out]
    assert evaluation_folders([plain, trained, plain], plan, out) == [
        out / "tiny", out / "fine", out / "tiny-2"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (["nosuch", "--data", "DATA"], ModelError, "no model 'nosuch'"),
        (["MODEL", "--data", "nowhere"], DatasetError, "'nowhere' is not a dataset folder"),
        (["MODEL", "--data", "DATA", "--split", "1"], DatasetError, "no faces in the test folds"),
    ],
)
def test_errors_name_the_problem(
    dataset: Path, tiny_model: Path, words: list[str], kind: type[Exception], message: str
) -> None:
    named = {"MODEL": tiny_model, "DATA": dataset}
    result = run(*(named.get(word, word) for word in words))
    assert isinstance(result.exception, kind)
    assert message in str(result.exception)


@pytest.mark.parametrize("wrong", [["--split", "7"], ["--part", "most"], ["--threads", "0"]])
def test_wrong_options_are_usage_errors(dataset: Path, tiny_model: Path, wrong: list[str]) -> None:
    assert run(tiny_model, "--data", dataset, *wrong).exit_code == 2


def test_errors_name_missing_and_damaged_pictures(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(dataset, tmp_path / "data")
    (data / "images" / "07.png").write_bytes(b"no picture")
    result = run(tiny_model, "--data", data, "--output", tmp_path / "out")
    assert isinstance(result.exception, DatasetError)
    assert "07.png" in str(result.exception)
    assert not (tmp_path / "out").exists()
    (data / "images" / "07.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 60 pictures are missing.*'07\.png'"):
        Evaluator(Plan(data))


def test_invalid_interval_levels_in_the_card_are_refused(
    dataset: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model({"name": "odd", "interval": {"low": 0.9, "high": 0.1}})
    result = run(model, "--data", dataset, "--output", tmp_path)
    assert isinstance(result.exception, ModelError)
    assert "interval" in str(result.exception)


def test_repeated_evaluation_gives_the_same_figures(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    tables = [evaluate(tmp_path / name, tiny_model, "--data", dataset) for name in "ab"]
    for key in ("subsets", "by_decade", "by_group"):
        assert tables[0][key] == tables[1][key]


def test_training_pictures_are_counted_by_the_card(
    make_model: Callable[..., Path], tiny_model: Path
) -> None:
    names = [name for name, fold in published().items() if fold in (0, 7, 8)][:3000]
    learnt = sum(published()[name] in (0, 7) for name in names)
    known = Model(make_model({"name": "k", "data": {"folds": "v1", "split": 0}}), 1)
    assert 0 < learnt < len(names)
    assert count_training_pictures(known, [*names, "mine.jpg"]) == learnt
    assert count_training_pictures(Model(tiny_model, 1), names) is None
