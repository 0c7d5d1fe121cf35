import json
from pathlib import Path

import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from agelens.cli.app import app
from agelens.errors import MissingExtra, TrainingError
from agelens.training.experiments.run import train as train_alone
from runs import QUIET, StoppedError, figures, stop_after, tiny


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agelens.errors.find_spec", lambda name: name != "ray" or None)
    words = ["train", "tiny", "--data", "d", "--run", "r", "--workers", "2"]
    with pytest.raises(MissingExtra, match=r"pip install 'agelens\[scale\]'"):
        CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_two_workers_then_one(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs the extra scale")
    from agelens.training.experiments import ray_workers

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3] / "src"))
    four, run = tiny(schedule__epochs=4), tmp_path / "shared"
    train_alone(four, data, tmp_path / "one", QUIET)
    with Progress(disable=True) as progress, pytest.raises(StoppedError):
        ray_workers.train(four, data, run, progress, 2, on_epoch=stop_after(2))
    assert not (run / ".ray").exists()
    with pytest.raises(TrainingError, match="--resume"):
        ray_workers.train(four, data, run, QUIET, 2)
    assert len(figures(run)) >= 2
    train_alone(four, data, run, QUIET, resume=True)
    for ours, theirs in zip(figures(run), figures(tmp_path / "one"), strict=True):
        # to the last digits sums differ, and a face or two may cross from one year to the next
        assert ours == pytest.approx(theirs, rel=2e-3, abs=1e-2)
    about = json.loads((run / "run.json").read_text("utf-8"))
    assert about["workers"] == 1
    assert about["parity_years"] < 1e-3
