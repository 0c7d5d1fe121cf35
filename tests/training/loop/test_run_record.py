import json
import platform
from pathlib import Path

from agelens.data.dataset import Dataset
from agelens.training.loop import run_record
from agelens.training.recipes.config import Config


def test_lineage_lists_the_runs_of_members_and_ends_where_one_is_missing(tmp_path: Path) -> None:
    def write(name: str, **more: object) -> str:
        config = Config.read("tiny", {"name": name, **more})
        file = tmp_path / name / "best.json"
        file.parent.mkdir()
        file.write_text(json.dumps({"config": config.table()}), "utf-8")
        return str(file.with_suffix(".safetensors"))

    first = write("first", **{"model.weights": str(tmp_path / "gone/best.safetensors")})
    second = write("second", **{"model.weights": first, "data.teacher": "a", "loss.teacher": 0.5})
    other = write("other", **{"model.weights": first})
    members = [{"backbone": "scratch", "weights": file} for file in (second, other)]
    both = Config.check({"name": "both", "model": {"backbone": "hybrid", "members": members}}, "it")
    assert run_record.lineage(both) == {"after": ["first", "second", "other"], "taught": True}


def test_differences_name_the_keys_that_matter() -> None:
    old = {"a": 1, "run": {"threads": 1, "seed": 0}, "model": {"size": 100}}
    new = {"a": 1, "run": {"threads": 2, "seed": 1}, "model": {"size": 112}}
    changed = ["model.size was 100, is 112", "run.seed was 0, is 1"]
    assert (run_record.differences(old, new), run_record.differences(old, old)) == (changed, [])


def test_the_record_names_commit_and_machine(dataset: Dataset, tmp_path: Path) -> None:
    assert run_record.commit(tmp_path) is None  # outside a checkout
    machine = run_record.initial_record(Config.read("tiny"), dataset)["machine"]
    assert platform.node() not in str(machine) or len(platform.node()) < 3
    assert machine["threads"] >= 1
    assert machine["instructions"]
