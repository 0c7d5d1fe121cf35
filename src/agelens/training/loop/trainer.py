"""The training loop: epochs of steps, validation, checkpoints, early stopping, resume."""

import copy
import csv
import io
import itertools
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor

from agelens.data.chips import cached
from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.inference import distribution
from agelens.training.batches import distillation, sample_weights
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.distributed import ALONE, Share
from agelens.training.batches.features import of_network
from agelens.training.batches.loader import Batch, Loader
from agelens.training.loop import device, precision, run_record
from agelens.training.loop.accuracy import Accuracy
from agelens.training.networks import checkpoint
from agelens.training.networks.allocator import keep_memory
from agelens.training.networks.loss import Targets, batch_loss, labelled, loss
from agelens.training.networks.network import Network, Standardise
from agelens.training.recipes.config import Config, OptimizerConfig

LOOKED_AT = 64
"""Batches of training faces after which the spread of features is known."""
COLUMNS = (
    "epoch", "train_loss", "train_mae", "train_mae_of_mean", "train_cs5", "train_gender_accuracy",
    "validation_loss", "validation_mae", "validation_mae_of_mean", "validation_cs5",
    "validation_gender_accuracy", "rate", "train_seconds", "faces_per_second",
)  # fmt: skip
"""Of `history.csv`. Training figures are of augmented faces, with dropout, and on weights that
still move; those of accuracy are empty with mixup, and in epochs of older versions."""


@dataclass(slots=True)
class State:
    """What changes from epoch to epoch; all that a resumed run needs besides tensors."""

    epoch: int = 0  # epochs done
    step: int = 0
    best_mae: float = math.inf  # years, on the validation folds
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Training:
    """One run in one folder."""

    def __init__(self, config: Config, dataset: Dataset, run: Path, progress: Progress) -> None:
        """Prepare chips, network and optimizer; nothing is trained yet."""
        self.config = config = config.filled()
        self.run = run
        self._progress = progress
        keep_memory()
        torch.set_num_threads(config.run.threads or torch.get_num_threads())
        torch.manual_seed(config.run.seed)
        trusted = sample_weights.read(config.data, dataset)
        self.train, self.validation = loaders(config, dataset, progress, trusted)
        self.network = Network(config.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.network.still and config.augment.mirrors_alone:
            features = of_network(dataset, self.network, progress)
            self.train = self.train.remembering(features)
            self.validation = self.validation.remembering(features)
        if config.model.weights is None or config.model.weights == "hub":
            self._set_age_prior(self.train.ages)
            self._fit_standard()
        self.device = device.choose(config)
        self.network.to(self.device)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = make_optimizer(self.network, config.optimizer)
        self._pull = Pull(self.network, config.optimizer)
        self.autocast = precision.choose(config, self.network)
        self._teacher = distillation.read(config, dataset)
        self.state = State()
        self._share = ALONE
        self._called: torch.nn.Module = self.network

    def join(self, share: Share) -> None:
        """Take part in a run on several workers, each of which has this training.

        Raises TrainingError where the network or the data cannot be shared.
        """
        fewest = min(self.config.optimizer.batch, self.train.faces, self.validation.faces)
        if share.workers > fewest:
            raise TrainingError(
                f"{share.workers} workers: expected at most {fewest}, so that each has a face of "
                "each batch; take fewer, or a larger optimizer.batch"
            )
        self.train, self.validation = self.train.shared(share), self.validation.shared(share)
        self.autocast = share.agree(self.autocast)
        self._called = share.spread(self.network)
        self._share = share

    def _set_age_prior(self, ages: NDArray[np.int64]) -> None:
        """Start the age head at the ages' own distribution; saves it an epoch of learning."""
        counts = np.bincount(ages, minlength=distribution.AGES) + 1.0
        with torch.no_grad():
            self.network.age.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
            self.network.age.weight.mul_(0.1)

    def _fit_standard(self) -> None:
        """Show training faces, as they will be seen, to what standardises features."""
        if isinstance(self.network.norm, Standardise):
            config, augment = self.config, Augment(self.config.augment)
            batches = self.train.shuffled(augment, config.model.size, config.run.seed, 0)
            some = itertools.islice(batches, LOOKED_AT)
            self.network.eval()
            with torch.no_grad():
                seen = [self.network.describe(torch.from_numpy(batch.chips)) for batch in some]
                self.network.norm.fit(torch.cat(seen))

    def resume(self) -> None:
        """Go on from `last.safetensors`. Raises TrainingError when the recipe has changed."""
        tensors, about = checkpoint.load(self.run / "last.safetensors")
        # checking fills in keys that are newer than the run
        theirs = Config.check(about["config"], str(self.run)).filled()
        differing = run_record.differences(theirs.table(), self.config.table())
        if differing:
            raise TrainingError(
                f"{self.run} was started with another recipe ({'; '.join(differing)}): "
                "resume with the same one, or give another --run"
            )
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "averaged": {}, "optimizer": {}}
        for key, tensor in tensors.items():
            part, _, name = key.partition(".")
            parts[part][key if part == "optimizer" else name] = tensor
        self.network.load_state_dict(parts["network"])
        self.averaged.load_state_dict(parts["averaged"])
        checkpoint.restore_optimizer(self.optimizer, parts["optimizer"])
        self.state = State(**about["state"])

    def fit(self, on_epoch: Callable[[dict[str, float]], None] | None = None) -> State:
        """Train to the last epoch or to early stopping; calls `on_epoch` with each figure row."""
        schedule = self.config.schedule
        while self.state.epoch < schedule.epochs:
            if self.state.epoch - self.state.best_epoch >= schedule.patience:
                break
            row = self._epoch()
            self.state.history.append(row)
            better = row["validation_mae"] < self.state.best_mae
            self.state.epoch += 1
            if better:
                self.state.best_mae = row["validation_mae"]
                self.state.best_epoch = self.state.epoch
            if self._share.first:
                self._save(better)
            if on_epoch:
                on_epoch(row)
        return self.state

    def _epoch(self) -> dict[str, float]:
        config, epoch = self.config, self.state.epoch
        seed = config.run.seed * 100_003 + epoch  # the same after a resume
        torch.manual_seed(seed + self._share.seed)
        augment = Augment(config.augment)
        task = self._progress.add_task(f"epoch {epoch + 1}", total=len(self.train))
        losses, faces, began = 0.0, 0, time.monotonic()
        accuracy = Accuracy()
        self.network.train()
        batches = self.train.shuffled(augment, config.model.size, config.run.seed, epoch)
        for batch in batches:
            value = self.step(batch, accuracy)
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss became {value} in epoch {epoch + 1}: lower optimizer.rate, "
                    f"now {config.optimizer.rate}, and start again"
                )
            losses += value * len(batch.ages)
            faces += len(batch.ages)
            self._progress.update(
                task, advance=1, description=f"epoch {epoch + 1} · loss {losses / faces:.3f}"
            )
        seconds = time.monotonic() - began
        (faces_of_all,) = self._share.total(faces)
        self._progress.remove_task(task)
        return {
            "epoch": epoch + 1,
            "train_loss": losses / faces,
            **accuracy.figures("train", self._share),
            **self.validate(),
            "rate": self.optimizer.param_groups[0]["lr"],
            "train_seconds": round(seconds, 1),
            "faces_per_second": round(faces_of_all / seconds, 1),
        }

    def step(self, batch: Batch, accuracy: Accuracy) -> float:
        """Learn from one batch; gives its loss."""
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            weights = None if batch.weights is None else torch.from_numpy(batch.weights)
            chips, targets, weights = self._mixed(
                torch.from_numpy(batch.chips), self._targets(batch), weights
            )
            age, female = (logits.cpu() for logits in self._called(chips.to(self.device)))
        each = loss(age, female, targets, self.config.loss)
        if weights is not None:
            each = each * weights
        value = batch_loss(each, self.config.loss.trim)
        faces, losses = self._share.total(len(each), float(value.detach()) * len(each))
        self.optimizer.zero_grad(set_to_none=True)
        # gradients come out as means over workers: this makes them means over faces
        (value * (len(each) * self._share.workers / faces)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimizer.clip)
        self.optimizer.step()
        self._pull.step(rate)
        self.state.step += 1
        self._average()
        if not self.config.augment.mixup:  # else there is no one label for a face
            accuracy.add(batch, age, female)
        return losses / faces

    def _targets(self, batch: Batch) -> Targets:
        labels = torch.from_numpy(batch.ages), torch.from_numpy(batch.female)
        targets = labelled(*labels, self.config.loss)
        if self._teacher is None:
            return targets
        return targets.mixed(
            self._teacher.at(torch.from_numpy(batch.rows)), self.config.loss.teacher
        )

    def _mixed(
        self, chips: Tensor, targets: Targets, weights: Tensor | None
    ) -> tuple[Tensor, Targets, Tensor | None]:
        """Lay each chip over another of its batch, and their targets (Zhang et al., 2018)."""
        alpha = self.config.augment.mixup
        if not alpha:
            return chips, targets, weights
        share = float(torch.distributions.Beta(alpha, alpha).sample())
        order = torch.randperm(len(chips))
        laid = chips.float().lerp(chips[order].float(), share).round().to(torch.uint8)
        if weights is not None:
            weights = weights.lerp(weights[order], share)
        return laid, targets.mixed(targets.at(order), share), weights

    def _rate(self) -> float:
        per_epoch = len(self.train)
        warmup = self.config.schedule.warmup * per_epoch
        total = self.config.schedule.epochs * per_epoch
        if self.state.step < warmup:
            return self.config.optimizer.rate * (self.state.step + 1) / warmup
        done = (self.state.step - warmup) / max(total - warmup, 1)
        return self.config.optimizer.rate * 0.5 * (1 + math.cos(math.pi * min(done, 1)))

    def _average(self) -> None:
        """Move the averaged weights a little towards the network's; faster at the start."""
        decay = min(self.config.schedule.ema, (1 + self.state.step) / (10 + self.state.step))
        theirs = self.network.state_dict()
        with torch.no_grad():
            for name, ours in self.averaged.state_dict().items():
                if ours.dtype.is_floating_point:
                    ours.lerp_(theirs[name], 1 - decay)
                else:
                    ours.copy_(theirs[name])

    def validate(self) -> dict[str, float]:
        """Measure the averaged weights on the validation folds, without flip averaging.

        In the precision of training: exact figures are those of the exported model.
        """
        self.averaged.eval()
        total, faces = 0.0, 0
        accuracy = Accuracy()
        task = self._progress.add_task("validation", total=len(self.validation))
        with torch.inference_mode():
            for batch in self.validation.plain():
                chips = torch.from_numpy(batch.chips).to(self.device)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                    logits = self.averaged(chips)
                age_logits, female_logits = (one.float().cpu() for one in logits)
                true = torch.from_numpy(batch.ages), torch.from_numpy(batch.female)
                targets = labelled(*true, self.config.loss)
                total += float(loss(age_logits, female_logits, targets, self.config.loss).sum())
                faces += len(batch.ages)
                accuracy.add(batch, age_logits, female_logits)
                self._progress.advance(task)
        self._progress.remove_task(task)
        loss_of_all, faces_of_all = self._share.total(total, faces)
        figures = accuracy.figures("validation", self._share)
        return {"validation_loss": loss_of_all / faces_of_all, **figures}

    def _save(self, better: bool) -> None:
        about: dict[str, Any] = {
            "config": self.config.table(),
            "state": {
                "epoch": self.state.epoch,
                "step": self.state.step,
                "best_mae": self.state.best_mae,
                "best_epoch": self.state.best_epoch,
                "history": self.state.history,
            },
        }
        averaged = dict(self.averaged.state_dict())
        if better:
            figures = self.state.history[-1]
            best = {"config": about["config"], "epoch": self.state.epoch, "figures": figures}
            checkpoint.save(self.run / "best.safetensors", averaged, best)
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"averaged.{k}": v for k, v in averaged.items()}
        tensors |= checkpoint.flatten_optimizer(self.optimizer)
        checkpoint.save(self.run / "last.safetensors", tensors, about)
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(self.state.history)
        checkpoint.write_text(self.run / "history.csv", text.getvalue())


def loaders(
    config: Config,
    dataset: Dataset,
    progress: Progress,
    trusted: NDArray[np.float32] | None = None,
) -> tuple[Loader, Loader]:
    """Give the training faces (or the share of them that the recipe takes) and validation faces.

    `trusted` (N,) are the weights of the dataset's faces; training faces of weight 0 are left out.
    """
    chips = cached(dataset, progress)
    ages = dataset.samples["age"].to_numpy().astype(np.int64)
    female = (dataset.samples["gender"] == "female").to_numpy().astype(np.int64)
    rows = dataset.split(config.data.split)
    mixed = np.random.default_rng(config.run.seed).permutation(rows.train)
    if trusted is not None:
        mixed = mixed[trusted[mixed] > 0]
        if len(mixed) < 2:
            raise TrainingError(
                f"data.exclude and data.downweight leave {len(mixed)} training faces: "
                "expected at least 2; take lines out of the file"
            )
    train = np.sort(mixed[: max(round(len(mixed) * config.data.share), 2)])
    weights = None if trusted is None else trusted[train]
    seen = ages[train], female[train], config.optimizer.batch, weights
    rest = rows.validation
    return Loader(chips, train, *seen), Loader(chips, rest, ages[rest], female[rest], 128)


def make_optimizer(network: Network, config: OptimizerConfig) -> torch.optim.AdamW:
    """Give AdamW with groups for the heads and each stage, with and without weight decay.

    A stage of the backbone has `backbone_rate` times the heads' rate, times `layer_decay` for
    each stage between it and the heads. Biases, scales and offsets are not decayed
    (He et al., 2019).
    """
    last = len(network.backbone.stages) - 1  # type: ignore[arg-type]
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            factor = 1.0
            if name.startswith("backbone."):
                stage = re.match(r"backbone\.stages\.(\d+)\.", name)
                depth = last - int(stage[1]) if stage else 0
                factor = config.backbone_rate * config.layer_decay**depth
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "factor": factor,
                "weight_decay": config.weight_decay if decayed else 0.0,
            }
            for (factor, decayed), parameters in groups.items()
        ],
        lr=config.rate,
    )


class Pull:
    """Draws a backbone towards the weights it started from (L2-SP; Li et al., 2018).

    Beside the optimizer rather than in the loss, as AdamW does with weight decay.
    """

    def __init__(self, network: Network, config: OptimizerConfig) -> None:
        self._strength = config.pull * config.backbone_rate
        self._now: list[Tensor] = [p for p in network.backbone.parameters() if p.requires_grad]
        self._start = [p.detach().clone() for p in self._now] if self._strength else []

    def step(self, rate: float) -> None:
        """Go `rate` x backbone_rate x pull of the way back, after a step of the optimizer."""
        if self._strength:
            with torch.no_grad():
                torch._foreach_lerp_(self._now, self._start, min(rate * self._strength, 1.0))
