"""One network whose weights are the mean of several runs' weights (a model soup).

Runs that began from the same weights and went on apart lie in one basin: the mean of their weights
is often better than each of them, and costs no time when asked (Wortsman et al., 2022).
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
from agelens.training.batches.loader import Loader
from agelens.training.experiments.run import export_run
from agelens.training.loop import run_record
from agelens.training.loop.accuracy import Accuracy
from agelens.training.loop.trainer import loaders
from agelens.training.networks import checkpoint
from agelens.training.networks.allocator import keep_memory
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config

Tensors = dict[str, Tensor]


def soup(runs: Sequence[Path], data: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    """Average trained runs into a new run folder; give its record.

    Greedily: the best run by validation MAE first, then each other one stays in the mean if the
    mean becomes better by it. Raises TrainingError for runs that cannot be averaged.
    """
    keep_memory()
    if len(runs) < 2:
        raise TrainingError(f"{len(runs)} run to average: expected two or more")
    if (folder / "best.safetensors").exists():
        raise TrainingError(f"{folder} holds a run already: give another --run")
    found = [checkpoint.load_best(run) for run in runs]
    configs = [
        Config.check(about["config"], str(run / "best.json"))
        for run, (_, about) in zip(runs, found, strict=True)
    ]
    _check_alike(runs, configs, [tensors for tensors, _ in found])
    dataset = Dataset(data)
    validation = loaders(configs[0], dataset, progress)[1]

    def judge(tensors: Tensors) -> dict[str, float]:
        return _judge(configs[0], tensors, validation, progress)

    alone = [judge(tensors) for tensors, _ in found]
    order = sorted(range(len(runs)), key=lambda place: alone[place]["validation_mae"])
    kept, best = order[:1], alone[order[0]]
    tries = []
    for place in order[1:]:
        tried = [*kept, place]
        figures = judge(mean_of([found[one][0] for one in tried]))
        tries.append({"runs": [runs[one].name for one in tried], **figures})
        if figures["validation_mae"] < best["validation_mae"]:
            kept, best = tried, figures
    config = configs[order[0]].model_copy(update={"name": folder.name})
    folder.mkdir(parents=True, exist_ok=True)
    said = {"config": config.table(), "epoch": 0, "figures": best}
    checkpoint.save(folder / "best.safetensors", mean_of([found[one][0] for one in kept]), said)
    about = run_record.describe(config, dataset) | {
        "runs": [str(run) for run in runs],
        "kept": [runs[one].name for one in kept],
        "alone": [{"run": run.name, **one} for run, one in zip(runs, alone, strict=True)],
        "tries": tries,
        "best": best,
        "parity_years": export_run(folder, validation),
        "finished": provenance.now(),
    }
    checkpoint.write_json(folder / "run.json", about)
    return about


def mean_of(several: Sequence[Tensors]) -> Tensors:
    """Give the mean of checkpoints that have the same tensors."""
    return {
        name: torch.stack([tensors[name].double() for tensors in several]).mean(0).to(first.dtype)
        for name, first in several[0].items()
    }


def _check_alike(
    runs: Sequence[Path], configs: Sequence[Config], several: Sequence[Tensors]
) -> None:
    splits = {config.data.split for config in configs}
    if len(splits) > 1:
        raise TrainingError(f"runs of splits {sorted(splits)}: expected runs of one split")
    sizes = {config.model.size for config in configs}
    if len(sizes) > 1:
        raise TrainingError(f"runs at {sorted(sizes)} pixels: expected one size")
    first = {name: tensor.shape for name, tensor in several[0].items()}
    for run, tensors in zip(runs, several, strict=True):
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if shapes != first:
            other = sorted(
                name for name in first.keys() | shapes.keys() if first.get(name) != shapes.get(name)
            )
            raise TrainingError(
                f"{run} is another network than {runs[0]} ({other[0]} differs): weights can be "
                "averaged of runs of one network that began from the same weights"
            )


def _judge(
    config: Config, tensors: Tensors, validation: Loader, progress: Progress
) -> dict[str, float]:
    network = Network(config.model, start=False)
    network.load_state_dict(tensors)
    network.eval()
    accuracy = Accuracy()
    task = progress.add_task("asking", total=len(validation))
    with torch.inference_mode():
        for batch in validation.plain():
            accuracy.add(batch, *network(torch.from_numpy(batch.chips)))
            progress.advance(task)
    progress.remove_task(task)
    return accuracy.figures("validation")
