from pathlib import Path

import pytest

from agelens.data.dataset import Dataset
from agelens.training.experiments.run import train
from agelens.training.export import exporter
from drawn import write_dataset
from runs import QUIET, export_tiny, tiny


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("drawn-small"), 100)


@pytest.fixture(scope="session")
def dataset(small_data: Path) -> Dataset:
    return Dataset(small_data)


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of tiny trained on `data`, really exported. Not to be changed."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny(), data, run, QUIET)
    return run


@pytest.fixture
def stub_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "export", export_tiny)
