"""A whole training run: folder, training, export, record; what `agelens train` calls."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import Progress

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.data.storage import write_json
from agelens.errors import TrainingError
from agelens.training.batches.distributed import SINGLE_WORKER, Worker
from agelens.training.batches.loader import Loader, make_loaders
from agelens.training.export import exporter
from agelens.training.loop import run_record
from agelens.training.loop.trainer import Trainer
from agelens.training.networks import checkpoint
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config

OnEpoch = Callable[[dict[str, float]], None]  # called with the figures of each epoch


def train(
    config: Config, data: Path, folder: Path, progress: Progress, *, resume: bool = False,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train a recipe on a dataset folder into a run folder; give the run's record.

    With `resume` a run that was stopped goes on from its last epoch, and one that has finished
    is left as it is. Raises TrainingError, ConfigError or DatasetError.
    """
    may_begin(folder, resume)
    trainer = begin(config, data, folder, progress)
    trainer.fit(on_epoch)
    return conclude(folder, trainer.validation_loader)


def may_begin(folder: Path, resume: bool) -> None:
    """Raise TrainingError for a folder that holds a run, unless it is to be resumed."""
    if (folder / "last.safetensors").is_file() and not resume:
        raise TrainingError(
            f"{folder} holds a run already: go on with --resume, or give another --run"
        )


def begin(
    config: Config, data: Path, folder: Path, progress: Progress, worker: Worker = SINGLE_WORKER
) -> Trainer:
    """Prepare a training, as it was left where it has begun, and write its record."""
    started = (folder / "last.safetensors").is_file()
    dataset = Dataset(data)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, dataset, folder, progress)
    if started:
        trainer.resume()
    if not worker.is_main:
        return trainer
    before = read_record(folder / "run.json") if started else {"started": provenance.now()}
    about = run_record.initial_record(trainer.config, dataset) | {
        "workers": worker.world_size,
        "precision": "bfloat16" if trainer.autocast else "float32",
        "started": before["started"],
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
    }
    write_json(folder / "run.json", about)
    return trainer


def export_again(folder: Path, data: Path, progress: Progress) -> dict[str, Any]:
    """Export a run folder as it stands, also one that was stopped; give the run's record."""
    _, about = checkpoint.load_best(folder)
    config = Config.check(about["config"], str(folder / "best.json"))
    return conclude(folder, make_loaders(config, Dataset(data), progress)[1])


def conclude(folder: Path, validation: Loader) -> dict[str, Any]:
    """Export a run's best checkpoint and complete its record."""
    state = checkpoint.load(folder / "last.safetensors")[1]["state"]
    about = read_record(folder / "run.json") | {
        "parity_years": export_run(folder, validation),
        "finished": provenance.now(),
        "epochs": state["epoch"],
        "best": state["history"][state["best_epoch"] - 1],
    }
    write_json(folder / "run.json", about)
    return about


def export_run(folder: Path, validation: Loader) -> float:
    """Write `model.onnx` from a run's best checkpoint; give the parity with torch in years."""
    network, config, about = Network.from_run(folder)
    card = exporter.base_card(config.name, config.data.split) | {
        **run_record.backbone_fields(config),
        "input_size": config.model.size,
        "epoch": about["epoch"],
        "validation": {k: v for k, v in about["figures"].items() if k.startswith("validation")},
        **run_record.lineage(config),
    }
    return exporter.calibrate_and_export(network, folder / "model.onnx", card, validation)


def read_record(file: Path) -> dict[str, Any]:
    """Read a JSON record; one that is not there yet is empty.

    Raises TrainingError for a damaged file.
    """
    try:
        record = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise TrainingError(
            f"{str(file)!r} is damaged: expected a JSON object; restore the file, or delete its "
            "folder and run the command again"
        )
    return record
