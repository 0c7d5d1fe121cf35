from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agelens.data.dataset import Dataset
from agelens.training.experiments.run import train
from agelens.training.export import exporter
from conftest import build_tiny_model
from drawn import write_dataset
from runs import QUIET, tiny


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


@pytest.fixture(scope="session")
def exporter_stub() -> Callable[..., float]:
    def export(network: object, file: Path, card: dict[str, Any], *_: Any, **__: Any) -> float:
        build_tiny_model(file, card)
        return 0.0

    return export


@pytest.fixture
def stub_export(exporter_stub: Callable[..., float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "export", exporter_stub)
