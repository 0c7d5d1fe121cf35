import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file

from agelens.errors import TrainingError
from agelens.inference.runtime import Model
from agelens.training.experiments.run import train
from agelens.training.experiments.weight_averaging import mean_of, soup
from agelens.training.loop import run_record
from agelens.training.recipes.config import Config
from drawn import write_dataset

TINY = "tiny"
QUIET = Progress(disable=True)


def test_the_mean_is_taken_of_each_number_and_keeps_its_type() -> None:
    first = {"a": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    second = {"a": torch.tensor([3.0, 6.0]), "n": torch.tensor(5)}
    mean = mean_of([first, second])
    assert mean["a"].tolist() == [2.0, 4.0]
    assert (mean["n"].item(), mean["n"].dtype) == (4, torch.int64)


def test_a_soup_is_no_worse_than_its_best_run_and_says_where_it_came_from(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, 100)
    train(Config.read(TINY, {"name": "start"}), data, tmp_path / "start", QUIET)
    runs = []
    for seed in range(2):
        recipe = {
            "name": f"on{seed}", "run.seed": seed, "schedule.epochs": 2,
            "model.weights": str(tmp_path / "start/best.safetensors"),
        }  # fmt: skip
        runs.append(tmp_path / f"on{seed}")
        train(Config.read(TINY, recipe), data, runs[-1], QUIET)
    about = soup(runs, data, tmp_path / "soup", QUIET)
    alone = [one["validation_mae"] for one in about["alone"]]
    tried = about["tries"][0]["validation_mae"]
    assert about["best"]["validation_mae"] == min(*alone, tried)
    assert len(about["kept"]) == (2 if tried < min(alone) else 1)
    kept = [load_file(tmp_path / name / "best.safetensors") for name in about["kept"]]
    made = load_file(tmp_path / "soup/best.safetensors")
    assert all(torch.equal(made[name], tensor) for name, tensor in mean_of(kept).items())
    model = Model(tmp_path / "soup")
    assert (model.card["name"], model.card["after"]) == ("soup", ["start"])
    assert np.isclose(
        model.run(np.zeros((1, 200, 200, 3), np.uint8)).age_probabilities.sum(), 1, atol=1e-5
    )
    assert json.loads((tmp_path / "soup/run.json").read_text("utf-8"))["kept"] == about["kept"]
    with pytest.raises(TrainingError, match="holds a run already"):
        soup(runs, data, tmp_path / "soup", QUIET)


def test_what_cannot_be_averaged_is_refused(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, 100)
    short = {"schedule.epochs": 1}
    ways = {"a": {}, "wider": {"model.widths": [12, 24]}, "larger": {"model.size": 64}}
    for name, way in ways.items():
        train(Config.read(TINY, short | way), data, tmp_path / name, QUIET)
    with pytest.raises(TrainingError, match="1 run to average"):
        soup([tmp_path / "a"], data, tmp_path / "soup", QUIET)
    with pytest.raises(TrainingError, match=r"nosuch' has no best\.safetensors: expected"):
        soup([tmp_path / "a", tmp_path / "nosuch"], data, tmp_path / "soup", QUIET)
    with pytest.raises(TrainingError, match=r"wider is another network than .*a \(age"):
        soup([tmp_path / "a", tmp_path / "wider"], data, tmp_path / "soup", QUIET)
    with pytest.raises(TrainingError, match="pixels: expected one size"):
        soup([tmp_path / "a", tmp_path / "larger"], data, tmp_path / "soup", QUIET)
    assert not (tmp_path / "soup").exists()


def test_lineage_ends_where_a_run_folder_is_missing(tmp_path: Path) -> None:
    gone = Config.read(TINY, {"model.weights": str(tmp_path / "gone/best.safetensors")})
    assert run_record.lineage(gone) == {"after": [], "taught": False}


def test_a_hybrid_comes_after_the_runs_of_its_members(tmp_path: Path) -> None:
    def write(name: str, **more: object) -> str:
        config = Config.read(TINY, {"name": name, **more})
        file = tmp_path / name / "best.json"
        file.parent.mkdir()
        file.write_text(json.dumps({"config": config.table()}), "utf-8")
        return str(file.with_suffix(".safetensors"))

    first = write("first")
    second = write("second", **{"model.weights": first, "data.teacher": "a", "loss.teacher": 0.5})
    other = write("other", **{"model.weights": first})
    members = [{"backbone": "scratch", "weights": file} for file in (second, other)]
    both = Config.check({"name": "both", "model": {"backbone": "hybrid", "members": members}}, "it")
    assert run_record.lineage(both) == {"after": ["first", "second", "other"], "taught": True}
