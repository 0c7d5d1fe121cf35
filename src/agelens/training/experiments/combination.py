"""Make one model of several trained runs: an ensemble of networks, or the mean of their weights.

Members and pooling methods of an ensemble are compared on validation folds by cross-fitting. Whole
folds stay together, so that no photo is in both halves. Runs that started from the same weights may
be averaged instead (a model soup; Wortsman et al., 2022), at the cost of a single network.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.data.storage import write_json
from agelens.errors import TrainingError
from agelens.evaluation import bootstrap, metrics
from agelens.inference import distribution
from agelens.training.batches.loader import make_loaders
from agelens.training.experiments.run import export_run
from agelens.training.export import exporter
from agelens.training.loop import run_record
from agelens.training.loop.metrics import accuracy, predict
from agelens.training.networks import backbones, checkpoint, ensemble
from agelens.training.networks.device import keep_freed_memory
from agelens.training.networks.ensemble import Ensemble, MemberLogits, OpinionPool, PoolingMethod
from agelens.training.networks.network import Network
from agelens.training.networks.second_opinion import SecondOpinion
from agelens.training.recipes.config import Config, SecondOpinionConfig

NO_SECOND_OPINION = SecondOpinionConfig()
METHODS: tuple[PoolingMethod, ...] = ("average", "stack")
Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A combination of members under one pooling method, and its cross-fitted accuracy."""

    members: tuple[int, ...]  # indices
    method: PoolingMethod
    figures: dict[str, float]
    errors: NDArray[np.float64]  # (N,) absolute, in years

    def table(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the candidate as JSON values, with the names of its members."""
        members = [names[index] for index in self.members]
        return {"members": members, "how": self.method, **self.figures}


def combine_runs(
    runs: Sequence[Path], data: Path, folder: Path, progress: Progress,
    second: SecondOpinionConfig = NO_SECOND_OPINION,
) -> dict[str, Any]:  # fmt: skip
    """Combine trained runs into one ensemble in a new run folder; return the comparison.

    Every set of at least one run is judged, under each pooling method; the candidate with the
    lowest validation MAE is exported, with the weights of `second` mixed with the networks of
    dlib-models. Raises TrainingError for runs that cannot be combined.
    """
    keep_freed_memory()
    loaded = [Network.from_run(run) for run in runs]
    splits = {config.data.split for _, config, _ in loaded}
    if len(runs) < 2 or len(splits) > 1:
        raise TrainingError(
            f"{len(runs)} runs of splits {sorted(splits)}: expected at least two of one split"
        )
    networks, configs, _ = zip(*loaded, strict=True)
    names = [config.name for config in configs]
    dataset = Dataset(data)
    validation = make_loaders(configs[0], dataset, progress)[1]
    folds = dataset.samples["fold"].to_numpy()[dataset.split(splits.pop()).validation]
    outputs = [predict(net, validation, progress, f"predictions of {name}")
               for net, name in zip(networks, names, strict=True)]  # fmt: skip
    age, female = (torch.stack(parts) for parts in zip(*outputs, strict=True))
    labels = torch.from_numpy(validation.ages), torch.from_numpy(validation.female)
    logits = MemberLogits(age, female, *labels)
    candidates = compare(logits, torch.from_numpy(folds == folds.min()))
    # each member alone comes first
    alone, best = (min(some, key=lambda candidate: candidate.figures["validation_mae"])
                   for some in (candidates[: len(runs)], candidates))  # fmt: skip
    differences = best.errors - alone.errors
    weights = bootstrap.resample(np.arange(len(differences)))
    difference = bootstrap.estimate(bootstrap.mean(differences), weights)[0]
    pool = ensemble.fit_pool(logits.members(best.members), best.method)
    network: nn.Module = Ensemble([networks[index] for index in best.members], pool)
    share_equal_parameters(network)
    if second != NO_SECOND_OPINION:
        files = backbones.locate("dlib-age-gender").parent
        network = SecondOpinion(network, files, second.age, second.gender)
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "members": [str(run) for run in runs],
        "chosen": {"members": [names[index] for index in best.members], "how": best.method},
        "ways": [candidate.table(names) for candidate in candidates],
        "against_best_member": {
            "member": names[alone.members[0]], "mae_difference": difference.as_dict()
        },
        "parity_years": exporter.calibrate_and_export(
            network, folder / "model.onnx", _card(best, configs, pool, second), validation,
            half=True,
        ),
        "data": {"fingerprint": dataset.fingerprint, "samples": len(dataset)},
        "versions": provenance.versions(), "commit": run_record.commit(Path(__file__).parent),
        "made": provenance.now(),
    }  # fmt: skip
    write_json(folder / "run.json", record)
    return record


def compare(logits: MemberLogits, half: Tensor) -> list[Candidate]:
    """Judge every set of members under each pooling method, by cross-fitting.

    `half` is bool (N,): the faces of one half. Smaller sets come first.
    """
    members = range(len(logits.age))
    ages, labels = logits.age_labels.numpy(), logits.female_labels.numpy()
    candidates = []
    for count in range(1, len(members) + 1):
        methods = METHODS if count > 1 else METHODS[:1]
        for picked, method in itertools.product(itertools.combinations(members, count), methods):
            age, female = ensemble.cross_fit(logits.members(picked), half, method)
            probabilities, gender = age.softmax(-1).numpy(), female.sigmoid().numpy()
            figures = accuracy("validation", probabilities, gender, ages, labels)
            ece = metrics.expected_calibration_error(gender, labels)
            figures["validation_gender_ece"] = ece
            errors = np.abs(distribution.median(probabilities) - ages)
            candidates.append(Candidate(picked, method, figures, errors))
    return candidates


def share_equal_parameters(network: nn.Module) -> int:
    """Replace equal parameters by one shared parameter; return how many were replaced.

    The model file then stores them once, and ONNX Runtime computes stages they make up once.
    """
    first_of: dict[tuple[torch.Size, bytes], nn.Parameter] = {}
    shared = 0
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            key = parameter.shape, parameter.detach().numpy().tobytes()
            first = first_of.setdefault(key, parameter)
            if first is not parameter:
                setattr(module, name, first)
                shared += 1
    return shared


def _card(
    best: Candidate, configs: Sequence[Config], pool: OpinionPool, second: SecondOpinionConfig
) -> dict[str, Any]:
    members = [
        {"name": one.name, **run_record.backbone_fields(one), "size": one.model.size,
         **run_record.lineage(one)}
        for one in (configs[index] for index in best.members)
    ]  # fmt: skip
    return exporter.base_card("hybrid", configs[0].data.split) | {
        "members": members, "how": best.method,
        "pool": {name: value.tolist() for name, value in pool.state_dict().items()},
        "validation": best.figures,
        **({"second_opinion": second.model_dump()} if second != NO_SECOND_OPINION else {}),
    }  # fmt: skip


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
    networks, configs, _ = zip(*(Network.from_run(run) for run in runs), strict=True)
    weights = [network.state_dict() for network in networks]
    _check_compatible(runs, configs, weights)
    dataset, network = Dataset(data), copy.deepcopy(networks[0])
    validation = make_loaders(configs[0], dataset, progress)[1]

    def evaluate(indices: list[int]) -> dict[str, float]:
        network.load_state_dict(average_tensors([weights[index] for index in indices]))
        age, female = predict(network, validation, progress, "validation")
        answers = age.softmax(-1).numpy(), female.sigmoid().numpy()
        return accuracy("validation", *answers, validation.ages, validation.female)

    alone = [evaluate([index]) for index in range(len(runs))]
    order = sorted(range(len(runs)), key=lambda index: alone[index]["validation_mae"])
    kept, best, tries = order[:1], alone[order[0]], []
    for index in order[1:]:
        candidate = [*kept, index]
        figures = evaluate(candidate)
        tries.append({"runs": [runs[one].name for one in candidate], **figures})
        if figures["validation_mae"] < best["validation_mae"]:
            kept, best = candidate, figures
    config = configs[order[0]].model_copy(update={"name": folder.name})
    folder.mkdir(parents=True, exist_ok=True)
    about = {"config": config.table(), "epoch": 0, "figures": best}
    mean = average_tensors([weights[index] for index in kept])
    checkpoint.save(folder / "best.safetensors", mean, about)
    record = run_record.initial_record(config, dataset) | {
        "runs": [str(run) for run in runs],
        "kept": [runs[one].name for one in kept],
        "alone": [{"run": run.name, **one} for run, one in zip(runs, alone, strict=True)],
        "tries": tries, "best": best, "parity_years": export_run(folder, validation),
        "finished": provenance.now(),
    }  # fmt: skip
    write_json(folder / "run.json", record)
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
    if len(splits := {config.data.split for config in configs}) > 1:
        raise TrainingError(f"runs of splits {sorted(splits)}: expected runs of one split")
    if len(sizes := {config.model.size for config in configs}) > 1:
        raise TrainingError(f"runs at {sorted(sizes)} pixels: expected one size")
    first, *others = (
        {(name, tensor.shape) for name, tensor in tensors.items()} for tensors in weights
    )
    for run, shapes in zip(runs[1:], others, strict=True):
        if shapes != first:
            raise TrainingError(
                f"{run} is another network than {runs[0]} ({min(first ^ shapes)[0]} differs): "
                "expected runs of one network that started from the same weights"
            )
