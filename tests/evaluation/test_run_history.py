from pathlib import Path

from agelens.training.loop import run_record


def test_differences_name_the_keys_that_matter() -> None:
    old = {"a": 1, "run": {"threads": 1, "seed": 0}, "model": {"size": 100}}
    new = {"a": 1, "run": {"threads": 2, "seed": 1}, "model": {"size": 112}}
    assert run_record.differences(old, new) == [
        "model.size was 100, is 112",
        "run.seed was 0, is 1",
    ]
    assert run_record.differences(old, old) == []


def test_no_commit_outside_a_checkout(tmp_path: Path) -> None:
    assert run_record.commit(tmp_path) is None


def test_the_machine_is_a_kind_without_a_name() -> None:
    import platform

    said = str(run_record.machine())
    assert platform.node() not in said or len(platform.node()) < 3
    assert run_record.machine()["threads"] >= 1
