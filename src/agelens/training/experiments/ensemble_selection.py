"""From several trained runs to one hybrid model: compare ways to pool them, keep the best.

Everything is fitted and compared on validation folds. Each way is judged by cross-fitting: its
numbers are fitted on half of the validation faces and judged on the other half, both ways round
(whole folds are kept together, so no photo is in both halves).
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
from agelens.training.batches.loader import Loader
from agelens.training.export import exporter
from agelens.training.loop import run_record
from agelens.training.loop.trainer import loaders
from agelens.training.networks import checkpoint, ensemble
from agelens.training.networks.allocator import keep_memory
from agelens.training.networks.ensemble import How, Labels, Pool, Pooled
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config

HOWS: tuple[How, ...] = ("average", "stack")


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One trained run."""

    run: Path
    config: Config
    network: Network


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What M members say of N validation faces, and what the faces are labelled."""

    age: Tensor  # (M, N, 117) logits
    female: Tensor  # (M, N) logits
    labels: Labels
    half: NDArray[np.bool_]  # (N,)

    def of(self, members: Sequence[int]) -> "Said":
        """Give the part of some members."""
        picked = list(members)
        return Said(self.age[picked], self.female[picked], self.labels, self.half)


def combine(runs: Sequence[Path], data: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    """Pool trained runs into one model in a new run folder; give the comparison.

    Every set of at least one run is judged, under each way to pool; the best set and way, by
    validation MAE, is exported. Raises TrainingError for runs that cannot be joined.
    """
    keep_memory()
    members = [_load(run) for run in runs]
    splits = {member.config.data.split for member in members}
    if len(members) < 2 or len(splits) > 1:
        raise TrainingError(
            f"{len(members)} runs of splits {sorted(splits)}: expected at least two of one split"
        )
    dataset = Dataset(data)
    validation = loaders(members[0].config, dataset, progress)[1]
    folds = dataset.samples["fold"].to_numpy()[dataset.split(splits.pop()).validation]
    said = _ask(members, validation, folds == folds.min(), progress)
    names = [member.config.name for member in members]
    table = compare(said, names)
    best = min(table, key=lambda row: row["validation_mae"])
    picked = best["places"]
    final = said.of(picked)
    fitted = ensemble.fit(final.age, final.female, final.labels, best["how"])
    folder.mkdir(parents=True, exist_ok=True)
    hybrid = Pooled([members[place].network for place in picked], fitted)
    share_equal(hybrid)
    card = _card(best, members, fitted)
    comparison = [{k: v for k, v in row.items() if k not in ("places", "errors")} for row in table]
    about = {
        "members": [str(run) for run in runs],
        "chosen": {"members": best["members"], "how": best["how"]},
        "ways": comparison,
        "against_best_member": _against_half(table, best),
        "parity_years": exporter.finish(hybrid, folder / "model.onnx", card, validation, half=True),
        "data": {"fingerprint": dataset.fingerprint, "samples": len(dataset)},
        "versions": provenance.versions(),
        "commit": run_record.commit(Path(__file__).parent),
        "made": provenance.now(),
    }
    checkpoint.write_json(folder / "run.json", about)
    return about


def compare(said: Said, names: Sequence[str]) -> list[dict[str, Any]]:
    """Judge every set of members under each way to pool them, by cross-fitting."""
    rows = []
    places = range(len(names))
    for count in range(1, len(names) + 1):
        for picked in itertools.combinations(places, count):
            for how in HOWS if count > 1 else HOWS[:1]:
                age, female = _cross_fit(said.of(picked), how)
                rows.append(
                    {
                        "members": [names[place] for place in picked],
                        "how": how,
                        **_figures(age, female, said.labels),
                        "places": list(picked),
                        "errors": _errors(age, said.labels),
                    }
                )
    return rows


def share_equal(network: nn.Module) -> int:
    """Let parameters that are equal be one; give how many were.

    Members that began alike and froze the same stages then have these once in the model file,
    and ONNX Runtime, which sees equal nodes, computes them once.
    """
    known: dict[tuple[torch.Size, bytes], nn.Parameter] = {}
    shared = 0
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            key = parameter.shape, parameter.detach().numpy().tobytes()
            first = known.setdefault(key, parameter)
            if first is not parameter:
                setattr(module, name, first)
                shared += 1
    return shared


def _cross_fit(said: Said, how: How) -> tuple[Tensor, Tensor]:
    """Give each half of the faces the answer of a pool that was fitted on the other half."""
    age, female = torch.empty_like(said.age[0]), torch.empty_like(said.female[0])
    half = torch.from_numpy(said.half)
    for judged in (half, ~half):
        fitted_on = ~judged
        labels = Labels(said.labels.ages[fitted_on], said.labels.female[fitted_on])
        fitted = ensemble.fit(said.age[:, fitted_on], said.female[:, fitted_on], labels, how)
        age[judged], female[judged] = fitted(said.age[:, judged], said.female[:, judged])
    return age, female


def _figures(age: Tensor, female: Tensor, labels: Labels) -> dict[str, float]:
    median = distribution.median(age.softmax(-1).numpy())
    ages, label = labels.ages.numpy(), labels.female.numpy()
    probability = female.sigmoid().numpy()
    return {
        "validation_mae": metrics.age_mae(median, ages),
        "validation_cs5": metrics.cumulative_score(median, ages, 5),
        "validation_gender_accuracy": metrics.gender_accuracy(probability, label),
        "validation_gender_ece": metrics.expected_calibration_error(probability, label),
    }


def _errors(age: Tensor, labels: Labels) -> NDArray[np.float64]:
    gap: NDArray[np.float64] = np.abs(
        distribution.median(age.softmax(-1).numpy()) - labels.ages.numpy()
    )
    return gap


def _against_half(table: list[dict[str, Any]], best: dict[str, Any]) -> dict[str, Any]:
    """Give the paired difference in MAE from the best single member, with its interval."""
    alone = min(
        (row for row in table if len(row["members"]) == 1), key=lambda r: r["validation_mae"]
    )
    gaps = best["errors"] - alone["errors"]
    weights = bootstrap.resample(np.arange(len(gaps)))
    figure = bootstrap.estimate(bootstrap.mean(gaps), weights)[0]
    return {"member": alone["members"][0], "mae_difference": figure.as_dict()}


def _load(run: Path) -> Member:
    tensors, about = checkpoint.load_best(run)
    config = Config.check(about["config"], str(run / "best.json"))
    network = Network(config.model, start=False)
    network.load_state_dict(tensors)
    return Member(run, config, network.eval().requires_grad_(False))


def _ask(
    members: Sequence[Member], validation: Loader, half: NDArray[np.bool_], progress: Progress
) -> Said:
    task = progress.add_task("asking members", total=len(members) * len(validation))
    ages: list[list[Tensor]] = [[] for _ in members]
    female: list[list[Tensor]] = [[] for _ in members]
    with torch.inference_mode():
        for batch in validation.plain():
            chips = torch.from_numpy(batch.chips)
            for place, member in enumerate(members):
                age_logits, female_logits = member.network(chips)
                ages[place].append(age_logits)
                female[place].append(female_logits)
                progress.advance(task)
    progress.remove_task(task)
    labels = Labels(torch.from_numpy(validation.ages), torch.from_numpy(validation.female))
    # cloned: tensors of inference mode cannot be fitted on
    return Said(
        torch.stack([torch.cat(part) for part in ages]).clone(),
        torch.stack([torch.cat(part) for part in female]).clone(),
        labels,
        half,
    )


def _card(best: dict[str, Any], members: Sequence[Member], fitted: Pool) -> dict[str, Any]:
    picked = [members[place] for place in best["places"]]
    return exporter.describe("hybrid", picked[0].config.data.split) | {
        "members": [
            {
                "name": m.config.name,
                **run_record.backbones(m.config),
                "size": m.config.model.size,
                **run_record.lineage(m.config),
            }
            for m in picked
        ],
        "how": best["how"],
        "pool": {name: value.tolist() for name, value in fitted.state_dict().items()},
        "validation": {k: v for k, v in best.items() if k.startswith("validation")},
    }
