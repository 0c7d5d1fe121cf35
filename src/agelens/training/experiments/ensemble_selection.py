"""Build an ensemble from trained runs: compare all combinations, export the best one.

Everything is fitted and compared on validation folds. Each combination is judged by
cross-fitting: its numbers are fitted on half of the validation faces and judged on the other half,
both ways round. Whole folds stay together, so that no photo is in both halves.
"""

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
from agelens.errors import TrainingError
from agelens.evaluation import bootstrap, metrics
from agelens.inference import distribution
from agelens.training.batches.loader import make_loaders
from agelens.training.export import exporter
from agelens.training.loop import run_record
from agelens.training.loop.metrics import accuracy, predict
from agelens.training.networks import checkpoint, ensemble
from agelens.training.networks.device import keep_freed_memory
from agelens.training.networks.ensemble import Ensemble, MemberLogits, OpinionPool, PoolingMethod
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config

METHODS: tuple[PoolingMethod, ...] = ("average", "stack")


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A combination of members under one pooling method, and its cross-fitted accuracy."""

    members: tuple[int, ...]  # indices
    method: PoolingMethod
    figures: dict[str, float]
    errors: NDArray[np.float64]  # (N,) absolute, in years

    @property
    def mae(self) -> float:
        """Validation MAE in years."""
        return self.figures["validation_mae"]

    def table(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the candidate as JSON values, with the names of its members."""
        members = [names[index] for index in self.members]
        return {"members": members, "how": self.method, **self.figures}


def combine_runs(
    runs: Sequence[Path], data: Path, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Combine trained runs into one ensemble in a new run folder; return the comparison.

    Every set of at least one run is judged, under each pooling method; the candidate with the
    lowest validation MAE is exported. Raises TrainingError for runs that cannot be combined.
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
    best = min(candidates, key=lambda candidate: candidate.mae)
    pool = ensemble.fit_pool(logits.members(best.members), best.method)
    network = Ensemble([networks[index] for index in best.members], pool)
    share_equal_parameters(network)
    folder.mkdir(parents=True, exist_ok=True)
    parity = exporter.calibrate_and_export(
        network, folder / "model.onnx", _card(best, configs, pool), validation, half=True
    )
    chosen = best.table(names)
    record = {
        "members": [str(run) for run in runs],
        "chosen": {"members": chosen["members"], "how": chosen["how"]},
        "ways": [candidate.table(names) for candidate in candidates],
        "against_best_member": _against_best_member(candidates, best, names),
        "parity_years": parity,
        "data": {"fingerprint": dataset.fingerprint, "samples": len(dataset)},
        "versions": provenance.versions(),
        "commit": run_record.commit(Path(__file__).parent),
        "made": provenance.now(),
    }
    checkpoint.write_json(folder / "run.json", record)
    return record


def compare(logits: MemberLogits, half: Tensor) -> list[Candidate]:
    """Judge every set of members under each pooling method, by cross-fitting.

    `half` is bool (N,): the faces of one half.
    """
    members = range(len(logits.age))
    ages, labels = logits.age_labels.numpy(), logits.female_labels.numpy()
    candidates = []
    for count in range(1, len(members) + 1):
        for picked in itertools.combinations(members, count):
            for method in METHODS if count > 1 else METHODS[:1]:
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

    Members that started alike and froze the same stages then store these once in the model file,
    and ONNX Runtime, which merges equal nodes, computes them once.
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


def _against_best_member(
    candidates: Sequence[Candidate], best: Candidate, names: Sequence[str]
) -> dict[str, Any]:
    """Return the paired difference in MAE from the best single member, with its interval."""
    singles = [candidate for candidate in candidates if len(candidate.members) == 1]
    alone = min(singles, key=lambda candidate: candidate.mae)
    differences = best.errors - alone.errors
    weights = bootstrap.resample(np.arange(len(differences)))
    figure = bootstrap.estimate(bootstrap.mean(differences), weights)[0]
    return {"member": names[alone.members[0]], "mae_difference": figure.as_dict()}


def _card(best: Candidate, configs: Sequence[Config], pool: OpinionPool) -> dict[str, Any]:
    picked = [configs[index] for index in best.members]
    members = [
        {"name": one.name, **run_record.backbone_fields(one), "size": one.model.size,
         **run_record.lineage(one)}
        for one in picked
    ]  # fmt: skip
    return exporter.base_card("hybrid", picked[0].data.split) | {
        "members": members,
        "how": best.method,
        "pool": {name: value.tolist() for name, value in pool.state_dict().items()},
        "validation": best.figures,
    }
