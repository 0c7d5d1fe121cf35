import json
from pathlib import Path

from agelens.training.loop import run_record
from agelens.training.recipes.config import Config

TINY = "tiny"


def test_lineage_ends_where_a_run_folder_is_missing(tmp_path: Path) -> None:
    gone = Config.read(TINY, {"model.weights": str(tmp_path / "gone/best.safetensors")})
    assert run_record.lineage(gone) == {"after": [], "taught": False}


def test_the_lineage_of_a_hybrid_lists_the_runs_of_its_members(tmp_path: Path) -> None:
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
