import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.data.dataset import Dataset
from agelens.errors import ConfigError, TrainingError
from agelens.inference.runtime import Model
from agelens.training.experiments import out_of_fold, stages
from agelens.training.networks import backbones
from agelens.training.recipes.config import Config
from drawn import write_dataset
from runs import QUIET

RECIPE = """combine = ["distilled", "other"]

[stages.first]
extends = "tiny"
schedule.epochs = 2

[stages.distilled]
extends = "tiny"
model.weights = "recipe:first"
data.teacher = "out-of-fold:faceres-deep"
loss.teacher = 0.5
schedule.epochs = 3

[stages.other]
extends = "tiny"
run.seed = 1
schedule.epochs = 2
"""


@pytest.fixture
def data(small_data: Path) -> Path:
    return small_data


@pytest.fixture(autouse=True)
def frozen_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands in for faceres-deep, which is not there.

    def features(dataset: Dataset, *_: object) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(len(dataset), 2, 4)).astype(np.float16)

    monkeypatch.setattr(out_of_fold, "backbone_features", features)
    monkeypatch.setattr(backbones, "locate", Path)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return path


def stand_in(trained: list[str], stop_at: str = "") -> Callable[..., dict[str, Any]]:
    def train(config: Config, data: Path, folder: Path, *_: Any, **__: Any) -> dict[str, Any]:
        trained.append(config.name)
        if config.name == stop_at:
            raise KeyboardInterrupt
        for file in ("best.safetensors", "model.onnx", "run.json"):
            (folder / file).write_text("{}")
        return {}

    return train


def made(
    recipe: str | Path, data: Path, run: Path, changes: Any = None, stop_at: str = ""
) -> list[str]:
    trained: list[str] = []
    plan = stages.plan(Config.read(recipe, changes), data, run)
    stages.run(plan, data, QUIET, train=stand_in(trained, stop_at))
    return trained


def states(recipe: str | Path, data: Path, run: Path, changes: Any = None) -> list[str]:
    return [one.state for one in stages.plan(Config.read(recipe, changes), data, run)]


def test_stages_stop_and_resume(
    recipe: Path, data: Path, tmp_path: Path, stub_export: None
) -> None:
    recipe.write_text(RECIPE.replace('["distilled", "other"]', '["first", "distilled"]'))
    run = tmp_path / "run"
    plan = stages.plan(Config.read(recipe), data, run)
    assert [(one.name, one.kind, one.folder) for one in plan] == [
        ("first", "train", run / "first"), ("distilled", "train", run / "distilled"),
        ("mine", "combine", run),
    ]  # fmt: skip
    assert plan[1].needs == ["first", "teacher faceres-deep"]
    messages: list[str] = []

    def stop(row: dict[str, float]) -> None:
        if messages[-1].startswith("stage 2") and row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.run(plan, data, QUIET, on_stage=messages.append, on_epoch=stop)
    assert messages == ["stage 1 of 3: first", "stage 2 of 3: distilled"]
    assert states(recipe, data, run) == ["finished", "stopped", "new"]
    first = (run / "first" / "model.onnx").stat().st_mtime_ns
    epochs: list[float] = []
    note = {"on_stage": messages.append, "on_epoch": lambda row: epochs.append(row["epoch"])}
    about = stages.run(plan, data, QUIET, **note)
    assert epochs == [2, 3]  # the second stage continues
    assert messages[2:] == [
        "stage 1 of 3: first (finished before)", "stage 2 of 3: distilled (continues)",
        "stage 3 of 3: mine",
    ]  # fmt: skip
    assert (run / "first" / "model.onnx").stat().st_mtime_ns == first
    assert about["members"] == [str(run / "first"), str(run / "distilled")]
    assert "name" in Model(run).card
    record = json.loads((run / "distilled" / "run.json").read_text("utf-8"))["config"]
    assert record["model"]["weights"] == str(run / "first" / "best.safetensors")
    assert record["data"]["teacher"] == str(data / "out-of-fold-faceres-deep-split0.parquet")
    assert set(states(recipe, data, run)) == {"finished"}


@pytest.fixture
def combined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for `combine` and `quantize`."""

    def write(source: object, data: Path, folder: Path, progress: object, *_: object) -> None:
        for file in ("model.onnx", "run.json"):
            (folder / file).write_text("{}")

    monkeypatch.setattr(stages, "combine_runs", write)
    monkeypatch.setattr(stages, "quantize", write)


@pytest.mark.usefixtures("combined")
def test_what_changed_is_shown_and_made_again(recipe: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        made(recipe, data, run, stop_at="other")
    assert made(recipe, data, run) == ["other"]  # what was stopped is not taken for finished
    assert made(recipe, data, run) == []
    change = {"stages.first.optimizer.rate": 0.02}
    assert states(recipe, data, run, change) == ["changed", "changed", "finished", "changed"]
    words = ["train", str(recipe), "--data", str(data), "--run", str(run)]
    shown = CliRunner().invoke(app, [*words, "--set", "stages.first.run.seed=2", "--dry-run"])
    assert (shown.stdout.count("changed"), shown.stdout.count("finished")) == (3, 1)
    assert set(states(recipe, data, run)) == {"finished"}  # a dry run changes nothing
    same_figures = {"run.threads": 2, "run.device": "cpu"}
    assert made(recipe, data, run, same_figures) == []
    assert states(recipe, data, run, {"run.seed": 2}) == ["changed"] * 4
    assert made(recipe, data, run, change) == ["first", "distilled"]
    assert made(recipe, data, run, {**change, "data.split": 1}) == ["first", "distilled", "other"]
    (run / "other" / "model.onnx").unlink()
    assert made(recipe, data, run, {**change, "data.split": 1}) == ["other"]
    (run / "other" / stages.RECORD).write_text('{"finished"')
    with pytest.raises(TrainingError, match="is damaged: expected a JSON object"):
        states(recipe, data, run)


@pytest.mark.usefixtures("combined")
def test_a_quantized_recipe_ends_with_the_8_bit_model(data: Path, tmp_path: Path) -> None:
    assert made("fast", data, tmp_path / "fast") == ["finetune", "finetune-distilled", "fast"]
    plan = stages.plan(Config.read("fast"), data, tmp_path / "fast")
    assert [(one.name, one.kind, one.folder) for one in plan[2:]] == [
        ("fast", "train", tmp_path / "fast" / "fast"), ("fast-int8", "quantize", tmp_path / "fast")
    ]  # fmt: skip
    assert all(one.state == "finished" for one in plan)


@pytest.mark.usefixtures("combined")
@pytest.mark.parametrize("name", ["scratch-64", "concat-both", "frozen-dlib-tuned"])
def test_no_shipped_recipe_lacks_a_file_of_another(name: str, data: Path, tmp_path: Path) -> None:
    assert made(name, data, tmp_path)[-1] == name


def test_a_recipe_is_prepared_for_tuning(
    recipe: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "run", partial(stages.run, train=stand_in([])))
    distilled = Config.read(recipe).stage("distilled")
    ready = stages.prepare(distilled, data, tmp_path / "study", QUIET)
    assert Path(str(ready.model.weights)).is_file()
    assert Path(str(ready.data.teacher)).is_file()
    with pytest.raises(ConfigError, match="mine trains nothing itself"):
        stages.prepare(Config.read(recipe), data, tmp_path, QUIET)


def test_a_missing_backbone_is_named_before_anything_is_trained(
    recipe: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locate(name: str) -> Path:
        raise TrainingError(f"get it with  agelens backbones get {name}")

    monkeypatch.setattr(backbones, "locate", locate)
    for answers in data.glob("out-of-fold-*"):
        answers.unlink()
    for source in (recipe, "hybrid"):
        with pytest.raises(TrainingError, match="agelens backbones get faceres-deep"):
            made(source, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def other_run(run: Path, data: Path) -> None:
    run.mkdir()
    (run / "model.onnx").write_text("of another command")


def other_data(run: Path, data: Path) -> None:
    made("tiny", write_dataset(run.parent / "other", 60), run)


@pytest.mark.parametrize(
    ("text", "before", "kind", "message"),
    [
        ('combine = ["tiny"]', None, ConfigError, "made from tiny: expected .* at least two"),
        ('combine = ["hybrid", "tiny"]', None, ConfigError, "mine is made from hybrid: expected"),
        ('[model]\nweights = "recipe:hybrid"', None, ConfigError, "mine is made from hybrid"),
        ('[data]\nteacher = "out-of-fold:vgg"', None, ConfigError,
         "unknown backbone 'vgg'; expected some of faceres-deep, dlib"),
        ('[model]\nweights = "none.safetensors"', None, TrainingError,
         "'none.safetensors', which does not exist: expected a file, recipe:NAME"),
        ('[data]\nteacher = "none.parquet"', None, TrainingError, "out-of-fold:BACKBONE"),
        ('combine = ["tiny", "scratch"]', other_run, TrainingError,
         "holds a run of another recipe or data set: give another --run"),
        ('extends = "tiny"', other_data, TrainingError, "of another recipe or data set"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_before_anything_is_trained(
    data: Path, tmp_path: Path, text: str, before: Callable[[Path, Path], None] | None,
    kind: type[Exception], message: str,
) -> None:  # fmt: skip
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    if before:
        before(tmp_path / "run", data)
    with pytest.raises(kind, match=message):
        made(recipe, data, tmp_path / "run")
    assert before or not (tmp_path / "run").exists()
