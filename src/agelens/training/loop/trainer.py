"""The training loop: epochs of steps, validation, checkpoints, early stopping, resuming."""

import copy
import csv
import io
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from agelens.data.dataset import Dataset
from agelens.data.storage import write_atomic
from agelens.errors import TrainingError
from agelens.inference import distribution
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.distributed import SINGLE_WORKER, Worker
from agelens.training.batches.features import network_features
from agelens.training.batches.loader import Batch, make_loaders
from agelens.training.batches.targets import read_teacher, read_weights
from agelens.training.loop import run_record
from agelens.training.loop.metrics import MetricAccumulator
from agelens.training.loop.optimizer import L2SP, learning_rate, make_optimizer, update_ema
from agelens.training.networks import checkpoint
from agelens.training.networks.device import keep_freed_memory, select_device, use_bfloat16
from agelens.training.networks.layers import Standardise
from agelens.training.networks.loss import Targets, batch_loss, face_losses, label_targets
from agelens.training.networks.network import Network
from agelens.training.recipes.config import Config

STANDARDISE_BATCHES = 64  # from which the mean and spread of features are estimated
COLUMNS = (  # columns of `history.csv`; those of training, of augmented faces, are empty with mixup
    "epoch", "train_loss", "train_mae", "train_mae_of_mean", "train_cs5", "train_gender_accuracy",
    "validation_loss", "validation_mae", "validation_mae_of_mean", "validation_cs5",
    "validation_gender_accuracy", "rate", "train_seconds", "faces_per_second",
)  # fmt: skip


@dataclass(slots=True)
class State:
    """What changes from epoch to epoch; all that a resumed run needs besides tensors."""

    epoch: int = 0  # epochs done
    step: int = 0
    best_mae: float = math.inf  # years, on the validation folds
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Train one recipe in one run folder."""

    def __init__(self, config: Config, dataset: Dataset, run: Path, progress: Progress) -> None:
        """Prepare data, network and optimizer.

        Raises ConfigError, DatasetError or TrainingError for a recipe that cannot be trained here.
        """
        self.config = config = config.filled()
        self.run = run
        self.state = State()
        self._progress = progress
        keep_freed_memory()
        torch.set_num_threads(config.run.threads or torch.get_num_threads())
        torch.manual_seed(config.run.seed)
        weights = read_weights(config.data, dataset)
        self.train_loader, self.validation_loader = make_loaders(config, dataset, progress, weights)
        self.network = Network(config.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        augment = config.augment
        if self.network.features_frozen and (augment.mirrors_alone or augment.views):
            features = network_features(dataset, self.network, progress, augment)
            self.train_loader = self.train_loader.with_features(features)
            self.validation_loader = self.validation_loader.with_features(features)
        if config.model.weights in (None, "hub"):
            self._initialise_heads()
        self.device = select_device(config)
        self.network.to(self.device)
        self._parallel: torch.nn.Module = self.network
        self.ema_network = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = make_optimizer(self.network, config.optimizer)
        self._l2_sp = L2SP(self.network, config.optimizer)
        self.autocast = use_bfloat16(config, self.network)
        self._teacher = read_teacher(config, dataset)
        self._worker = SINGLE_WORKER

    def distribute(self, worker: Worker) -> None:
        """Become one of several workers. Raises TrainingError where they are too many."""
        loaders = self.train_loader, self.validation_loader
        most = min(self.config.optimizer.batch, *(len(loader.rows) for loader in loaders))
        if worker.world_size > most:
            raise TrainingError(
                f"{worker.world_size} workers: expected at most {most}, so that each has a face of "
                "each batch; take fewer, or a larger optimizer.batch"
            )
        self.train_loader, self.validation_loader = (replace(one, worker=worker) for one in loaders)
        self.autocast = worker.broadcast(self.autocast)
        self._parallel = worker.parallelise(self.network)
        self._worker = worker

    @torch.no_grad()
    def _initialise_heads(self) -> None:
        counts = np.bincount(self.train_loader.ages, minlength=distribution.AGES) + 1.0
        self.network.age.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
        self.network.age.weight.mul_(0.1)
        if isinstance(self.network.norm, Standardise):
            self.network.eval()
            batches = itertools.islice(self._augmented(epoch=0), STANDARDISE_BATCHES)
            chips = (torch.from_numpy(batch.chips) for batch in batches)
            features = [self.network.extract_features(one) for one in chips]
            self.network.norm.fit(torch.cat(features))

    def _augmented(self, epoch: int) -> Iterator[Batch]:
        config, augment = self.config, Augment(self.config.augment)
        return self.train_loader.shuffled(augment, config.model.size, config.run.seed, epoch)

    def resume(self) -> None:
        """Continue from `last.safetensors`. Raises TrainingError when the recipe has changed."""
        tensors, about = checkpoint.load(self.run / "last.safetensors")
        # the check fills in keys that are newer than the run
        started = Config.check(about["config"], str(self.run)).filled()
        if differing := run_record.differences(started.table(), self.config.table()):
            raise TrainingError(
                f"{self.run} was started with another recipe ({'; '.join(differing)}): "
                "resume with the same one, or give another --run"
            )
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "averaged": {}}
        optimizer_state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, _, name = key.partition(".")
            if part == "optimizer":
                index, name = name.split(".")
                optimizer_state.setdefault(int(index), {})[name] = tensor
            else:
                parts[part][name] = tensor
        self.network.load_state_dict(parts["network"])
        self.ema_network.load_state_dict(parts["averaged"])
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": optimizer_state})
        self.state = State(**about["state"])

    def fit(self, on_epoch: Callable[[dict[str, float]], None] | None = None) -> State:
        """Train to the last epoch or to early stopping; call `on_epoch` with each epoch's metrics.

        Raises TrainingError when the loss is no longer finite.
        """
        state, schedule = self.state, self.config.schedule
        while state.epoch < schedule.epochs and state.epoch < state.best_epoch + schedule.patience:
            row = self._train_epoch()
            state.history.append(row)
            state.epoch += 1
            if improved := row["validation_mae"] < state.best_mae:
                state.best_mae, state.best_epoch = row["validation_mae"], state.epoch
            if self._worker.is_main:
                self._save(improved)
            if on_epoch:
                on_epoch(row)
        return state

    def _train_epoch(self) -> dict[str, float]:
        config, epoch = self.config, self.state.epoch
        seed = config.run.seed * 100_003 + epoch  # the same after a resume
        torch.manual_seed(seed + (self._worker.rank << 40))
        task = self._progress.add_task(f"epoch {epoch + 1}", total=len(self.train_loader))
        loss_sum, faces, metrics, began = 0.0, 0, MetricAccumulator(), time.monotonic()
        self.network.train()
        for batch in self._augmented(epoch):
            loss = self.step(batch, metrics)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in epoch {epoch + 1}: lower optimizer.rate, "
                    f"now {config.optimizer.rate}, and start again"
                )
            loss_sum += loss * len(batch.ages)
            faces += len(batch.ages)
            title = f"epoch {epoch + 1} · loss {loss_sum / faces:.3f}"
            self._progress.update(task, advance=1, description=title)
        seconds = time.monotonic() - began
        (total_faces,) = self._worker.all_reduce_sum(faces)
        self._progress.remove_task(task)
        return {
            "epoch": epoch + 1,
            "train_loss": loss_sum / faces,
            **metrics.compute("train", self._worker),
            **self.validate(),
            "rate": self.optimizer.param_groups[0]["lr"],
            "train_seconds": round(seconds, 1),
            "faces_per_second": round(total_faces / seconds, 1),
        }

    def step(self, batch: Batch, metrics: MetricAccumulator) -> float:
        """Train on one batch and return its loss."""
        config, worker = self.config, self._worker
        rate = learning_rate(config, self.state.step, len(self.train_loader))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        chips, targets, weights = self._prepare(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            age, female = (logits.cpu() for logits in self._parallel(chips.to(self.device)))
        losses = face_losses(age, female, targets, config.loss)
        if weights is not None:
            losses = losses * weights
        loss, count = batch_loss(losses, config.loss.trim), len(losses)
        faces, loss_sum = worker.all_reduce_sum(count, float(loss.detach()) * count)
        self.optimizer.zero_grad(set_to_none=True)
        # gradients become means over workers: the factor makes them means over faces
        (loss * (count * worker.world_size / faces)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.optimizer.clip)
        self.optimizer.step()
        self._l2_sp.step(rate)
        self.state.step += 1
        update_ema(self.ema_network, self.network, self.state.step, config.schedule.ema)
        if not config.augment.mixup:  # mixed faces have no label of their own
            metrics.update(batch, age, female)
        return loss_sum / faces

    def _targets(self, batch: Batch) -> Targets:
        labels = torch.from_numpy(batch.ages), torch.from_numpy(batch.female)
        return label_targets(*labels, self.config.loss)

    def _prepare(self, batch: Batch) -> tuple[Tensor, Targets, Tensor | None]:
        chips, targets = torch.from_numpy(batch.chips), self._targets(batch)
        weights = None if batch.weights is None else torch.from_numpy(batch.weights)
        if self._teacher is not None:
            teacher = self._teacher.take(torch.from_numpy(batch.rows))
            targets = targets.mix(teacher, self.config.loss.teacher)
        alpha = self.config.augment.mixup
        if not alpha:
            return chips, targets, weights
        # mixup (Zhang et al., 2018)
        share = float(torch.distributions.Beta(alpha, alpha).sample())
        order = torch.randperm(len(chips))
        mixed = chips.float().lerp(chips[order].float(), share).round().to(torch.uint8)
        if weights is not None:
            weights = weights.lerp(weights[order], share)
        return mixed, targets.mix(targets.take(order), share), weights

    def validate(self) -> dict[str, float]:
        """Measure the averaged weights on the validation folds, in the precision of training."""
        network = self.ema_network.eval()
        loss_sum, faces, metrics = 0.0, 0, MetricAccumulator()
        task = self._progress.add_task("validation", total=len(self.validation_loader))
        with torch.inference_mode():
            for batch in self.validation_loader.in_order():
                chips = torch.from_numpy(batch.chips).to(self.device)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                    logits = network(chips)
                age, female = (one.float().cpu() for one in logits)
                losses = face_losses(age, female, self._targets(batch), self.config.loss)
                loss_sum += float(losses.sum())
                faces += len(batch.ages)
                metrics.update(batch, age, female)
                self._progress.advance(task)
        self._progress.remove_task(task)
        total_loss, total_faces = self._worker.all_reduce_sum(loss_sum, faces)
        measured = metrics.compute("validation", self._worker)
        return {"validation_loss": total_loss / total_faces, **measured}

    def _save(self, improved: bool) -> None:
        config, state = self.config.table(), self.state
        averaged = dict(self.ema_network.state_dict())
        if improved:
            about = {"config": config, "epoch": state.epoch, "figures": state.history[-1]}
            checkpoint.save(self.run / "best.safetensors", averaged, about)
        parts = {"network": self.network.state_dict(), "averaged": averaged}
        parts["optimizer"] = {
            f"{index}.{name}": torch.as_tensor(value)
            for index, values in self.optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        tensors = {f"{part}.{k}": v for part, values in parts.items() for k, v in values.items()}
        about = {"config": config, "state": asdict(state)}
        checkpoint.save(self.run / "last.safetensors", tensors, about)
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(state.history)
        write_atomic(self.run / "history.csv", (text.getvalue()).encode())
