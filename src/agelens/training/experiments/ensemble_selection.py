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
from agelens.training.batches.loader import Loader, make_loaders
from agelens.training.export import exporter
from agelens.training.loop import run_record
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


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One trained run."""

    config: Config
    network: Network


def combine_runs(
    runs: Sequence[Path], data: Path, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Combine trained runs into one ensemble in a new run folder; return the comparison.

    Every set of at least one run is judged, under each pooling method; the candidate with the
    lowest validation MAE is exported. Raises TrainingError for runs that cannot be combined.
    """
    keep_freed_memory()
    members = [_load(run) for run in runs]
    names = [member.config.name for member in members]
    splits = {member.config.data.split for member in members}
    if len(members) < 2 or len(splits) > 1:
        raise TrainingError(
            f"{len(members)} runs of splits {sorted(splits)}: expected at least two of one split"
        )
    dataset = Dataset(data)
    validation = make_loaders(members[0].config, dataset, progress)[1]
    folds = dataset.samples["fold"].to_numpy()[dataset.split(splits.pop()).validation]
    logits = _predict(members, validation, progress)
    candidates = compare(logits, torch.from_numpy(folds == folds.min()))
    best = min(candidates, key=lambda candidate: candidate.mae)
    picked = [members[index] for index in best.members]
    pool = ensemble.fit_pool(logits.members(best.members), best.method)
    network = Ensemble([member.network for member in picked], pool)
    share_equal_parameters(network)
    folder.mkdir(parents=True, exist_ok=True)
    parity = exporter.calibrate_and_export(
        network, folder / "model.onnx", _card(best, picked, pool), validation, half=True
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
    members, ages = range(len(logits.age)), logits.age_labels.numpy()
    candidates = []
    for count in range(1, len(members) + 1):
        for picked in itertools.combinations(members, count):
            for method in METHODS if count > 1 else METHODS[:1]:
                age, female = ensemble.cross_fit(logits.members(picked), half, method)
                median = distribution.median(age.softmax(-1).numpy())
                probability, label = female.sigmoid().numpy(), logits.female_labels.numpy()
                figures = {
                    "validation_mae": metrics.age_mae(median, ages),
                    "validation_cs5": metrics.cumulative_score(median, ages, 5),
                    "validation_gender_accuracy": metrics.gender_accuracy(probability, label),
                    "validation_gender_ece": metrics.expected_calibration_error(probability, label),
                }
                candidates.append(Candidate(picked, method, figures, np.abs(median - ages)))
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


def _load(run: Path) -> Member:
    tensors, about = checkpoint.load_best(run)
    config = Config.check(about["config"], str(run / "best.json"))
    network = Network(config.model, pretrained=False)
    network.load_state_dict(tensors)
    return Member(config, network.eval().requires_grad_(False))


def _predict(members: Sequence[Member], validation: Loader, progress: Progress) -> MemberLogits:
    task = progress.add_task("predictions of members", total=len(members) * len(validation))
    ages: list[list[Tensor]] = [[] for _ in members]
    female: list[list[Tensor]] = [[] for _ in members]
    with torch.no_grad():  # not inference mode, whose tensors cannot be fitted on
        for batch in validation.in_order():
            chips = torch.from_numpy(batch.chips)
            for index, member in enumerate(members):
                age_logits, female_logits = member.network(chips)
                ages[index].append(age_logits)
                female[index].append(female_logits)
                progress.advance(task)
    progress.remove_task(task)
    return MemberLogits(
        torch.stack([torch.cat(parts) for parts in ages]),
        torch.stack([torch.cat(parts) for parts in female]),
        torch.from_numpy(validation.ages),
        torch.from_numpy(validation.female),
    )


def _card(best: Candidate, picked: Sequence[Member], pool: OpinionPool) -> dict[str, Any]:
    return exporter.base_card("hybrid", picked[0].config.data.split) | {
        "members": [
            {
                "name": member.config.name,
                **run_record.backbone_fields(member.config),
                "size": member.config.model.size,
                **run_record.lineage(member.config),
            }
            for member in picked
        ],
        "how": best.method,
        "pool": {name: value.tolist() for name, value in pool.state_dict().items()},
        "validation": best.figures,
    }
