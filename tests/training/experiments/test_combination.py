import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference.runtime import Model
from agelens.training.experiments import combination
from agelens.training.experiments.combination import average_runs, average_tensors, combine_runs
from agelens.training.networks.ensemble import Ensemble, MemberLogits, OpinionPool
from agelens.training.networks.network import Network
from runs import QUIET, tiny, trainer


def train(dataset: Dataset, run: Path, **changes: object) -> Path:
    trainer(dataset, run, **changes).fit()
    return run


def test_runs_become_one_ensemble(dataset: Dataset, tmp_path: Path) -> None:
    runs = [train(dataset, tmp_path / f"tiny{seed}", run__seed=seed, schedule__epochs=2)
            for seed in range(2)]  # fmt: skip
    about = combine_runs(runs, dataset.folder, tmp_path / "hybrid", QUIET)
    assert {tuple(way["members"]) for way in about["ways"]} == {
        ("tiny0",), ("tiny1",), ("tiny0", "tiny1")
    }  # fmt: skip
    best = min(about["ways"], key=lambda way: way["validation_mae"])
    assert about["chosen"] == {"members": best["members"], "how": best["how"]}
    assert json.loads((tmp_path / "hybrid" / "run.json").read_text("utf-8"))["ways"]
    model = Model(tmp_path / "hybrid")
    assert model.card["name"] == "hybrid"
    output = model.run(np.zeros((2, 200, 200, 3), np.uint8))
    assert np.allclose(output.age_probabilities.sum(-1), 1, atol=1e-5)
    with pytest.raises(TrainingError, match="1 runs of splits"):
        combine_runs(runs[:1], dataset.folder, tmp_path / "other", QUIET)


def test_members_with_independent_errors_beat_each_alone() -> None:
    random = np.random.default_rng(1)
    ages, grid = random.integers(10, 90, 1000), np.arange(117)
    age = [-((grid - (ages + random.normal(0, 5, 1000))[:, None]) ** 2) / 50 for _ in range(2)]
    female = random.integers(0, 2, 1000)
    gender = [(2 * female - 1) + random.normal(0, 1, 1000) for _ in range(2)]
    outputs = (torch.tensor(np.stack(each), dtype=torch.float32) for each in (age, gender))
    logits = MemberLogits(*outputs, torch.tensor(ages), torch.tensor(female))
    half = torch.from_numpy(random.random(1000) < 0.5)
    table = [one.table("ab") for one in combination.compare(logits, half)]
    assert [("".join(row["members"]), row["how"]) for row in table] == [
        ("a", "average"), ("b", "average"), ("ab", "average"), ("ab", "stack")
    ]  # fmt: skip
    alone = min(table[0]["validation_mae"], table[1]["validation_mae"])
    assert table[3]["validation_mae"] < 0.85 * alone  # in theory 1 / sqrt(2)
    assert table[3]["validation_gender_accuracy"] > table[0]["validation_gender_accuracy"]


def test_equal_parameters_of_members_are_shared() -> None:
    config = tiny().model
    torch.manual_seed(0)
    first, second = Network(config).eval(), Network(config).eval()
    second.backbone.stages[0].load_state_dict(first.backbone.stages[0].state_dict())
    pooled = Ensemble([first, second], OpinionPool(2, "average")).requires_grad_(False).eval()
    chips = torch.randint(0, 256, (3, 200, 200, 3), dtype=torch.uint8)
    before = pooled(chips)
    assert combination.share_equal_parameters(pooled) > 0
    stems = [member.backbone.stages[0] for member in pooled.members]
    assert all(a is b for a, b in zip(*(stem.parameters() for stem in stems), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, pooled(chips), strict=True))


def test_the_mean_is_taken_of_each_number_and_keeps_its_type() -> None:
    first = {"a": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    mean = average_tensors([first, {"a": torch.tensor([3.0, 6.0]), "n": torch.tensor(5)}])
    assert mean["a"].tolist() == [2.0, 4.0]
    assert (mean["n"].item(), mean["n"].dtype) == (4, torch.int64)


def test_an_average_is_no_worse(dataset: Dataset, tmp_path: Path, stub_export: None) -> None:
    start = train(dataset, tmp_path / "start", schedule__epochs=2) / "best.safetensors"
    onward = {"schedule__epochs": 2, "model__weights": str(start)}
    runs = [train(dataset, tmp_path / f"on{n}", run__seed=n, **onward) for n in range(2)]
    about = average_runs(runs, dataset.folder, tmp_path / "soup", QUIET)
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
        average_runs(runs, dataset.folder, tmp_path / "soup", QUIET)


def test_runs_that_cannot_be_averaged_are_an_error(dataset: Dataset, tmp_path: Path) -> None:
    a = train(dataset, tmp_path / "a", schedule__epochs=1)
    wider = train(dataset, tmp_path / "wider", schedule__epochs=1, model__widths=[12, 24])
    larger = train(dataset, tmp_path / "larger", schedule__epochs=1, model__size=64)
    for runs, message in (
        ([a], "1 run to average"),
        ([a, tmp_path / "nosuch"], r"nosuch' has no best\.safetensors: expected"),
        ([a, wider], r"wider is another network than .*a \(age"),
        ([a, larger], "pixels: expected one size"),
    ):
        with pytest.raises(TrainingError, match=message):
            average_runs(runs, dataset.folder, tmp_path / "soup", QUIET)
    assert not (tmp_path / "soup").exists()
