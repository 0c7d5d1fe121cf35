"""What are losses, widths, estimators and suspect labels worth, on frozen features?

    agelens data out-of-fold utkface --split 0 --output utkface/out-of-fold-0.parquet
    python benchmarks/heads.py --data utkface --teacher utkface/out-of-fold-0.parquet

A head on the features of frozen backbones learns in seconds what a network learns in an hour, so
that two dozen variations can be compared on equal terms: the training folds of split 0, two seeds
each, judged on its validation folds (one picture, no mirror image). Differences from the baseline
are paired, with a bootstrap interval over faces. The last part compares two ways to fuse two
backbones: by their predictions, or by their features. Writes benchmarks/results/heads.json.
"""

import time
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from rich.progress import Progress, track
from torch import Tensor

import record
from agelens.cli.console import bar
from agelens.data.dataset import Dataset
from agelens.evaluation import bootstrap, metrics
from agelens.inference import distribution
from agelens.training.batches.features import backbone_features
from agelens.training.experiments.out_of_fold import HeadRecipe, Labels, train_head
from agelens.training.loop.metrics import accuracy
from agelens.training.networks import ensemble
from agelens.training.networks.loss import Targets

PLAN = Path(__file__).with_suffix(".toml")
BACKBONES = ("faceres-deep", "dlib")
SEEDS = 2
SUSPECT = {"left out": (0.05, 0.0), "downweighted": (0.10, 0.3)}  # share of faces, their weight

Logits = tuple[Tensor, Tensor]  # of age (N, 117), of gender (N,)


class Bench:
    """The faces, their features and a teacher's predictions."""

    def __init__(self, folder: Path, teacher: Path, progress: Progress) -> None:
        dataset = Dataset(folder)
        self._rows = rows = dataset.split(0)
        samples, labels = dataset.samples, Labels.of(dataset)
        self.fingerprint = dataset.fingerprint
        self._features = {name: backbone_features(dataset, name, progress) for name in BACKBONES}
        self._ages, self._female = map(torch.from_numpy, (labels.ages, labels.female))
        self.ages, self.female = labels.ages[rows.validation], labels.female[rows.validation]
        folds = labels.folds[rows.validation]
        self.half = torch.from_numpy(folds == folds.min())
        answers = pl.DataFrame({"file": samples["file"].gather(rows.train)}).join(
            pl.read_parquet(teacher), on="file", how="left", maintain_order="left"
        )
        spread = answers["age_probabilities"].to_numpy().astype(np.float32)
        self.likelihood = spread[np.arange(len(spread)), labels.ages[rows.train]]
        parts = spread, distribution.mean(spread), answers["female_probability"].to_numpy()
        self.teacher = Targets(*(torch.from_numpy(part.astype(np.float32)) for part in parts))
        self.weights = bootstrap.resample(samples["sha256"].to_numpy()[rows.validation])

    def features(self, backbones: Sequence[str], rows: NDArray[np.int64]) -> Tensor:
        """Return the features of some faces, float16 (N, 2, F)."""
        parts = [self._features[name][rows] for name in backbones]
        return torch.from_numpy(np.concatenate(parts, axis=-1))

    def learn(self, trial: dict[str, Any], seed: int) -> Logits:
        """Train one head and give its logits for the validation faces."""
        rows, backbones = self._rows, trial.get("backbones", BACKBONES)
        recipe = recipe_of(trial.get("set", {}))
        weights = None
        if suspect := trial.get("doubted"):
            share, weight = SUSPECT[suspect]
            unlikely = self.likelihood <= np.quantile(self.likelihood, share)
            weights = torch.from_numpy(np.where(unlikely, weight, 1.0).astype(np.float32))
        head = train_head(
            self.features(backbones, rows.train), self._ages[rows.train],
            self._female[rows.train], seed, recipe,
            self.teacher if recipe.loss.teacher else None, weights,
        )  # fmt: skip
        with torch.inference_mode():
            age, female = head(self.features(backbones, rows.validation)[:, 0])
        return age.clone(), female.clone()

    def figures(self, each: list[Logits]) -> dict[str, Any]:
        """Return the figures of several seeds: their mean, and how far MAE spreads."""
        seeds = []
        for age, female in each:
            spread, gender = age.softmax(-1).numpy(), female.sigmoid().numpy()
            found = accuracy("validation", spread, gender, self.ages, self.female)
            del found["validation_mae_of_mean"]
            found["validation_age_log_loss"] = metrics.age_losses(spread, self.ages).mean()
            seeds.append(found)
        means = {key: float(np.mean([one[key] for one in seeds])) for key in seeds[0]}
        means["spread_of_mae"] = float(np.std([one["validation_mae"] for one in seeds], ddof=1))
        return {key: round(value, 4) for key, value in means.items()}

    def errors(self, each: list[Logits]) -> NDArray[np.float64]:
        """Return each validation face's age error and gender error (N, 2), means over seeds."""
        ages = [distribution.median(age.softmax(-1).numpy()) for age, _ in each]
        years = [np.abs(one - self.ages) for one in ages]
        wrong = [(female.numpy() > 0) != (self.female > 0) for _, female in each]
        return np.stack([np.mean(years, axis=0), np.mean(wrong, axis=0)], axis=1)

    def against(self, ours: list[Logits], theirs: list[Logits]) -> dict[str, Any]:
        """Return paired differences with their intervals."""
        gaps = bootstrap.mean(self.errors(ours) - self.errors(theirs))
        mae, gender = bootstrap.estimate(gaps, self.weights)
        return {"mae": mae.as_dict(), "gender_error": gender.as_dict()}

    def estimators(self, each: list[Logits]) -> dict[str, float]:
        """Return the MAE of ways to read one age off the baseline's distributions."""
        ways: dict[str, list[float]] = defaultdict(list)
        for age, _ in each:
            spread = age.softmax(-1).numpy()
            reads = {"mean": distribution.mean(spread), "median": distribution.median(spread)}
            reads["most likely year"] = spread.argmax(1).astype(float)
            for cut in (0.1, 0.25):
                levels = np.linspace(cut, 1 - cut, 41)
                at = [distribution.quantile(spread, level) for level in levels]
                reads[f"mean without {cut:.0%} at either end"] = np.mean(at, axis=0)
            for name, read in reads.items():
                ways[name].append(metrics.age_mae(read, self.ages))
        return {name: round(float(np.mean(maes)), 4) for name, maes in ways.items()}

    def fusion(self, alone: dict[str, list[Logits]], features: list[Logits]) -> dict[str, Any]:
        """Compare ways to fuse two backbones: by their predictions, or by their features.

        Pools are fitted on one validation fold and judged on the other, both ways round.
        """
        ways: dict[str, list[Logits]] = dict(alone)
        for how in ("average", "stack"):
            ways[how] = [self._pool([alone[name][s] for name in BACKBONES], how)
                         for s in range(SEEDS)]  # fmt: skip
        ways["features"] = features
        best = min(BACKBONES, key=lambda name: self.errors(ways[name])[:, 0].mean())
        found = {
            name: self.figures(each) | {"against_better_half": self.against(each, ways[best])}
            for name, each in ways.items()
        }
        return {"better_half": best, "ways": found}

    def _pool(self, members: list[Logits], how: Any) -> Logits:
        age = torch.stack([one for one, _ in members])
        female = torch.stack([one for _, one in members])
        labels = torch.from_numpy(self.ages), torch.from_numpy(self.female)
        return ensemble.cross_fit(ensemble.MemberLogits(age, female, *labels), self.half, how)


def recipe_of(changes: dict[str, Any]) -> HeadRecipe:
    """Return the recipe with some values changed; keys of the loss begin with `loss.`."""
    recipe = HeadRecipe(**{key: v for key, v in changes.items() if not key.startswith("loss.")})
    loss = {key.removeprefix("loss."): v for key, v in changes.items() if key.startswith("loss.")}
    checked = type(recipe.loss).model_validate({**recipe.loss.model_dump(), **loss})
    return replace(recipe, loss=checked)


def main() -> None:
    """Run every trial of the plan and write the record."""
    parser = record.parser(__doc__, data=True, threads=1)
    parser.add_argument("--teacher", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    plan = tomllib.loads(PLAN.read_text("utf-8"))
    with bar() as progress:
        bench = Bench(given.data, given.teacher, progress)
    trials: dict[str, dict[str, Any]] = {"baseline": {}, **plan["trials"]}
    logits: dict[str, list[Logits]] = {}
    table: dict[str, Any] = {}
    for name, trial in track(trials.items(), "trials"):
        began = time.monotonic()
        logits[name] = [bench.learn(trial, seed) for seed in range(SEEDS)]
        table[name] = {
            "about": trial.get("about", plan["baseline"]),
            **{key: trial[key] for key in ("backbones", "set", "doubted") if key in trial},
            **bench.figures(logits[name]),
            "against_baseline": bench.against(logits[name], logits["baseline"]),
            "seconds": round(time.monotonic() - began, 1),
        }
        print(f"{name}: {table[name]}", flush=True)
    figures = {
        "plan": PLAN.name, "part": "validation folds of split 0", "faces": len(bench.ages),
        "seeds": SEEDS, "method": bootstrap.METHOD, "data": bench.fingerprint, "trials": table,
        "estimators": bench.estimators(logits["baseline"]),
        "joining": bench.fusion({name: logits[name] for name in BACKBONES}, logits["baseline"]),
    }  # fmt: skip
    record.write(given, figures, threads=given.threads)


if __name__ == "__main__":
    main()
