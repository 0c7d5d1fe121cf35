"""How much of the machine does training use? The whole loop against a bare forward and backward.

    python benchmarks/training_speed.py --data utkface [--recipe RECIPE ...] [--threads 1]

For each recipe, in turn, in batches of its size and its precision: the input pipeline alone
(chips -> augmented batches), the network's bare forward and backward (the limit), the training
step (targets, loss, clipping, optimizer and average too) on batches that lie ready, and the whole
loop, as an epoch runs it. Medians in faces per second; writes results/training_speed.json.
"""

import itertools
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

import record
from agelens.cli.console import bar
from agelens.data.dataset import Dataset
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.loader import Batch
from agelens.training.loop.metrics import MetricAccumulator
from agelens.training.loop.trainer import Trainer
from agelens.training.recipes.config import Config

RECIPES = ("scratch", "finetune", "finetune-dlib")


def main() -> None:
    """Measure, print and write."""
    parser = record.parser(__doc__, data=True, threads=1, rounds=5, batches=8)
    parser.add_argument("--recipe", nargs="+", default=RECIPES, help="names or TOML files")
    given = parser.parse_args()
    dataset = Dataset(given.data)
    changes = {"run.threads": given.threads, "loss.teacher": 0.0}
    changes |= {"model.weights": None, "data.teacher": None}
    rows = []
    for recipe in given.recipe:
        config = Config.read(recipe, changes)
        with bar() as progress, tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(config, dataset, Path(folder), progress)
            figures = measure(trainer, given.rounds, given.batches)
        rows.append({"recipe": Path(recipe).stem, **figures})
        record.show(rows[-1])
    figures = {"rounds": given.rounds, "batches": given.batches, "recipes": rows}
    record.write(given, figures, threads=given.threads)


def measure(trainer: Trainer, rounds: int, batches: int) -> dict[str, Any]:
    """Time the four parts of one recipe."""
    config, metrics = trainer.config, MetricAccumulator()
    trainer.network.train()

    def fresh(epoch: int) -> Iterator[Batch]:
        augment = Augment(config.augment)
        whole = trainer.train_loader.shuffled(augment, config.model.size, config.run.seed, epoch)
        return itertools.islice(whole, batches)

    ready = list(fresh(0))

    def forward_and_backward(_: int) -> None:
        for batch in ready:
            with torch.autocast("cpu", torch.bfloat16, enabled=trainer.autocast):
                age, female = trainer.network(torch.from_numpy(batch.chips))
            (age.float().mean() + female.float().mean()).backward()

    def train(batches: Iterable[Batch]) -> None:
        for batch in batches:
            trainer.step(batch, metrics)

    parts = {
        "input_pipeline": lambda epoch: deque(fresh(epoch), maxlen=0),
        "forward_and_backward": forward_and_backward, "step": lambda _: train(ready),
        "loop": lambda epoch: train(fresh(epoch)),
    }  # fmt: skip
    faces = sum(len(batch.ages) for batch in ready)
    seconds = record.interleaved_seconds(parts, rounds)
    return {
        "backbone": config.model.backbone, "side": config.model.size,
        "batch": config.optimizer.batch,
        "precision": "bfloat16" if trainer.autocast else "float32",
        "faces_per_second": {part: round(faces / took, 1) for part, took in seconds.items()},
        "loop_of_limit": round(seconds["forward_and_backward"] / seconds["loop"], 3),
    }  # fmt: skip


if __name__ == "__main__":
    main()
