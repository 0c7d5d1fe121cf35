import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress

from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference.runtime import Model
from agelens.training.experiments.ensemble_selection import (
    combine_runs,
    compare,
    share_equal_parameters,
)
from agelens.training.loop.trainer import Trainer
from agelens.training.networks.ensemble import Ensemble, MemberLogits, OpinionPool
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config

TINY = "tiny"
QUIET = Progress(disable=True)


def test_runs_become_one_model(small_data: Path, tmp_path: Path) -> None:
    runs = []
    for seed in range(2):
        changes = {"run.seed": seed, "name": f"tiny{seed}", "schedule.epochs": 3}
        runs.append(tmp_path / f"run{seed}")
        runs[-1].mkdir()
        Trainer(Config.read(TINY, changes), Dataset(small_data), runs[-1], QUIET).fit()
    about = combine_runs(runs, small_data, tmp_path / "hybrid", QUIET)
    assert {tuple(way["members"]) for way in about["ways"]} == {
        ("tiny0",),
        ("tiny1",),
        ("tiny0", "tiny1"),
    }
    best = min(way["validation_mae"] for way in about["ways"])
    chosen = next(way for way in about["ways"] if way["validation_mae"] == best)
    assert about["chosen"] == {"members": chosen["members"], "how": chosen["how"]}
    assert json.loads((tmp_path / "hybrid" / "run.json").read_text("utf-8"))["ways"]
    model = Model(tmp_path / "hybrid")
    assert model.card["name"] == "hybrid"
    output = model.run(np.zeros((2, 200, 200, 3), np.uint8))
    assert np.allclose(output.age_probabilities.sum(-1), 1, atol=1e-5)
    with pytest.raises(TrainingError, match="1 runs of splits"):
        combine_runs(runs[:1], small_data, tmp_path / "other", QUIET)


def test_members_with_independent_errors_beat_each_alone() -> None:
    random = np.random.default_rng(1)
    ages, grid = random.integers(10, 90, 1000), np.arange(117)
    age = [-((grid - (ages + random.normal(0, 5, 1000))[:, None]) ** 2) / 50 for _ in range(2)]
    female = random.integers(0, 2, 1000)
    gender = [(2 * female - 1) + random.normal(0, 1, 1000) for _ in range(2)]
    logits = MemberLogits(
        torch.tensor(np.stack(age), dtype=torch.float32),
        torch.tensor(np.stack(gender), dtype=torch.float32),
        torch.tensor(ages),
        torch.tensor(female),
    )
    table = [
        one.table("ab") for one in compare(logits, torch.from_numpy(random.random(1000) < 0.5))
    ]
    assert [(row["members"], row["how"]) for row in table] == [
        (["a"], "average"),
        (["b"], "average"),
        (["a", "b"], "average"),
        (["a", "b"], "stack"),
    ]
    alone = min(table[0]["validation_mae"], table[1]["validation_mae"])
    assert table[3]["validation_mae"] < 0.85 * alone  # in theory 1 / sqrt(2)
    assert table[3]["validation_gender_accuracy"] > table[0]["validation_gender_accuracy"]


def test_equal_parameters_of_members_are_shared() -> None:
    config = Config.read(TINY).model
    torch.manual_seed(0)
    first, second = Network(config).eval(), Network(config).eval()
    second.backbone.stages[0].load_state_dict(first.backbone.stages[0].state_dict())
    pooled = Ensemble([first, second], OpinionPool(2, "average")).requires_grad_(False).eval()
    chips = torch.randint(0, 256, (3, 200, 200, 3), dtype=torch.uint8)
    before = pooled(chips)
    assert share_equal_parameters(pooled) > 0
    stems = [member.backbone.stages[0] for member in pooled.members]
    assert all(a is b for a, b in zip(*(stem.parameters() for stem in stems), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, pooled(chips), strict=True))
