import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference.runtime import Model
from agelens.training.experiments.weight_averaging import average_runs, average_tensors
from agelens.training.loop.trainer import Trainer
from agelens.training.recipes.config import Config

TINY = "tiny"
QUIET = Progress(disable=True)


def train(data: Path, run: Path, **changes: object) -> Path:
    """Train without exporting."""
    run.mkdir()
    recipe = {"name": run.name, **{key.replace("__", "."): value for key, value in changes.items()}}
    Trainer(Config.read(TINY, recipe), Dataset(data), run, QUIET).fit()
    return run


def test_the_mean_is_taken_of_each_number_and_keeps_its_type() -> None:
    first = {"a": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    second = {"a": torch.tensor([3.0, 6.0]), "n": torch.tensor(5)}
    mean = average_tensors([first, second])
    assert mean["a"].tolist() == [2.0, 4.0]
    assert (mean["n"].item(), mean["n"].dtype) == (4, torch.int64)


def test_an_average_is_no_worse_than_its_best_run_and_names_its_origin(
    small_data: Path, tmp_path: Path, stub_export: object
) -> None:
    start = str(train(small_data, tmp_path / "start") / "best.safetensors")
    runs = [
        train(
            small_data, tmp_path / f"on{seed}",
            run__seed=seed, schedule__epochs=2, model__weights=start,
        )
        for seed in range(2)
    ]  # fmt: skip
    about = average_runs(runs, small_data, tmp_path / "soup", QUIET)
    alone = [one["validation_mae"] for one in about["alone"]]
    tried = about["tries"][0]["validation_mae"]
    assert about["best"]["validation_mae"] == min(*alone, tried)
    assert len(about["kept"]) == (2 if tried < min(alone) else 1)
    kept = [load_file(tmp_path / name / "best.safetensors") for name in about["kept"]]
    made = load_file(tmp_path / "soup/best.safetensors")
    assert all(torch.equal(made[name], tensor) for name, tensor in average_tensors(kept).items())
    model = Model(tmp_path / "soup")
    assert (model.card["name"], model.card["after"]) == ("soup", ["start"])
    output = model.run(np.zeros((1, 200, 200, 3), np.uint8))
    assert np.isclose(output.age_probabilities.sum(), 1, atol=1e-5)
    assert json.loads((tmp_path / "soup/run.json").read_text("utf-8"))["kept"] == about["kept"]
    with pytest.raises(TrainingError, match="holds a run already"):
        average_runs(runs, small_data, tmp_path / "soup", QUIET)


def test_runs_that_cannot_be_averaged_are_an_error(small_data: Path, tmp_path: Path) -> None:
    a = train(small_data, tmp_path / "a", schedule__epochs=1)
    wider = train(small_data, tmp_path / "wider", schedule__epochs=1, model__widths=[12, 24])
    larger = train(small_data, tmp_path / "larger", schedule__epochs=1, model__size=64)
    for runs, message in (
        ([a], "1 run to average"),
        ([a, tmp_path / "nosuch"], r"nosuch' has no best\.safetensors: expected"),
        ([a, wider], r"wider is another network than .*a \(age"),
        ([a, larger], "pixels: expected one size"),
    ):
        with pytest.raises(TrainingError, match=message):
            average_runs(runs, small_data, tmp_path / "soup", QUIET)
    assert not (tmp_path / "soup").exists()
