"""Weight averaging (a model soup): one network with the mean of several runs' weights.

Runs that started from the same weights end in one basin of the loss: the mean of their weights is
often better than each of them, at the cost of a single network (Wortsman et al., 2022).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.training.batches.loader import Loader, make_loaders
from agelens.training.experiments.run import export_run
from agelens.training.loop import run_record
from agelens.training.loop.metrics import accuracy, predict
from agelens.training.networks import checkpoint
from agelens.training.networks.device import keep_freed_memory
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config

Tensors = dict[str, Tensor]


def average_runs(
    runs: Sequence[Path], data: Path, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Average the weights of trained runs into a new run folder; return its record.

    The selection is greedy: it starts with the best run by validation MAE, and keeps each further
    run in the mean if the mean becomes better. Raises TrainingError for runs that cannot be
    averaged.
    """
    keep_freed_memory()
    if len(runs) < 2:
        raise TrainingError(f"{len(runs)} run to average: expected two or more")
    if (folder / "best.safetensors").exists():
        raise TrainingError(f"{folder} holds a run already: give another --run")
    checkpoints = [checkpoint.load_best(run) for run in runs]
    weights = [tensors for tensors, _ in checkpoints]
    configs = [Config.check(about["config"], str(run / "best.json"))
               for run, (_, about) in zip(runs, checkpoints, strict=True)]  # fmt: skip
    _check_compatible(runs, configs, weights)
    dataset = Dataset(data)
    validation = make_loaders(configs[0], dataset, progress)[1]

    def average(indices: list[int]) -> Tensors:
        return average_tensors([weights[index] for index in indices])

    def evaluate(tensors: Tensors) -> dict[str, float]:
        return _evaluate(configs[0], tensors, validation, progress)

    alone = [evaluate(tensors) for tensors in weights]
    order = sorted(range(len(runs)), key=lambda index: alone[index]["validation_mae"])
    kept, best, tries = order[:1], alone[order[0]], []
    for index in order[1:]:
        candidate = [*kept, index]
        figures = evaluate(average(candidate))
        tries.append({"runs": [runs[one].name for one in candidate], **figures})
        if figures["validation_mae"] < best["validation_mae"]:
            kept, best = candidate, figures
    config = configs[order[0]].model_copy(update={"name": folder.name})
    folder.mkdir(parents=True, exist_ok=True)
    about = {"config": config.table(), "epoch": 0, "figures": best}
    checkpoint.save(folder / "best.safetensors", average(kept), about)
    record = run_record.initial_record(config, dataset) | {
        "runs": [str(run) for run in runs],
        "kept": [runs[one].name for one in kept],
        "alone": [{"run": run.name, **one} for run, one in zip(runs, alone, strict=True)],
        "tries": tries,
        "best": best,
        "parity_years": export_run(folder, validation),
        "finished": provenance.now(),
    }
    checkpoint.write_json(folder / "run.json", record)
    return record


def average_tensors(checkpoints: Sequence[Tensors]) -> Tensors:
    """Return the mean of checkpoints that have the same tensors, computed in float64."""
    return {
        name: torch.stack([one[name].double() for one in checkpoints]).mean(0).to(first.dtype)
        for name, first in checkpoints[0].items()
    }


def _check_compatible(
    runs: Sequence[Path], configs: Sequence[Config], weights: Sequence[Tensors]
) -> None:
    splits = {config.data.split for config in configs}
    if len(splits) > 1:
        raise TrainingError(f"runs of splits {sorted(splits)}: expected runs of one split")
    sizes = {config.model.size for config in configs}
    if len(sizes) > 1:
        raise TrainingError(f"runs at {sorted(sizes)} pixels: expected one size")
    first = {name: tensor.shape for name, tensor in weights[0].items()}
    for run, tensors in zip(runs, weights, strict=True):
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if shapes != first:
            other = sorted(
                name for name in first.keys() | shapes.keys() if first.get(name) != shapes.get(name)
            )
            raise TrainingError(
                f"{run} is another network than {runs[0]} ({other[0]} differs): expected runs of "
                "one network that started from the same weights"
            )


def _evaluate(
    config: Config, tensors: Tensors, validation: Loader, progress: Progress
) -> dict[str, float]:
    network = Network(config.model, pretrained=False)
    network.load_state_dict(tensors)
    age, female = predict(network.eval(), validation, progress, "validation")
    probabilities, female_probability = age.softmax(-1).numpy(), female.sigmoid().numpy()
    labels = validation.ages, validation.female
    return accuracy("validation", probabilities, female_probability, *labels)
