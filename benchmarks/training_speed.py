"""How much of the machine does training use? The whole loop against a bare forward and backward.

    python benchmarks/training_speed.py --data utkface [--recipe RECIPE ...] [--threads 1]

For each recipe, in turn, in batches of its size and its precision: the input pipeline alone
(chips -> augmented batches), the network's bare forward and backward (the limit), the training
step (targets, loss, clipping, optimizer and average too) on batches that lie ready, and the whole
loop, as an epoch runs it. Medians in faces per second; writes results/training_speed.json.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from agelens import provenance
from agelens.cli.progress import bar
from agelens.data.dataset import Dataset
from agelens.training.batches.augmentation import Augment
from agelens.training.batches.loader import Batch
from agelens.training.loop.accuracy import Accuracy
from agelens.training.loop.trainer import Training
from agelens.training.recipes.config import Config

RESULT = Path(__file__).parent / "results" / "training_speed.json"
RECIPES = ("scratch", "finetune", "finetune-dlib")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a dataset folder")
    parser.add_argument("--recipe", nargs="+", default=RECIPES, help="names or TOML files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8, help="of each kind, in each round")
    words = parser.parse_args()
    dataset = Dataset(words.data)
    changes = {
        "run.threads": words.threads, "model.weights": None, "data.teacher": None,
        "loss.teacher": 0.0,
    }  # fmt: skip
    rows = []
    for recipe in words.recipe:
        config = Config.read(recipe, changes)
        with bar() as progress, tempfile.TemporaryDirectory() as folder:
            training = Training(config, dataset, Path(folder), progress)
            rows.append(
                {"recipe": Path(recipe).stem} | measure(training, words.rounds, words.batches)
            )
        print(json.dumps(rows[-1], indent=2))
    result = {
        "command": " ".join(["python benchmarks/training_speed.py", *sys.argv[1:]]),
        "date": provenance.now(),
        "machine": provenance.machine(threads=words.threads),
        "versions": provenance.versions(),
        "rounds": words.rounds,
        "batches": words.batches,
        "recipes": rows,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def measure(training: Training, rounds: int, batches: int) -> dict[str, Any]:
    """Time the four, in turn, so that a slow spell of the machine falls on all of them."""
    config, accuracy = training.config, Accuracy()
    training.network.train()

    def fresh(epoch: int) -> "itertools.islice[Batch]":
        whole = training.train.shuffled(
            Augment(config.augment), config.model.size, config.run.seed, epoch
        )
        return itertools.islice(whole, batches)

    ready = list(fresh(0))

    def forward_and_backward(_: int) -> None:
        for batch in ready:
            with torch.autocast("cpu", torch.bfloat16, enabled=training.autocast):
                age, female = training.network(torch.from_numpy(batch.chips))
            (age.float().mean() + female.float().mean()).backward()

    def step(_: int) -> None:
        for batch in ready:
            training.step(batch, accuracy)

    def loop(epoch: int) -> None:
        for batch in fresh(epoch):
            training.step(batch, accuracy)

    kinds: dict[str, Callable[[int], None]] = {
        "input_pipeline": lambda epoch: [None for _ in fresh(epoch)].clear(),
        "forward_and_backward": forward_and_backward,
        "step": step,
        "loop": loop,
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(rounds + 1):  # the first round warms up
        for kind, work in kinds.items():
            began = time.perf_counter()
            work(turn)
            seconds[kind].append(time.perf_counter() - began)
    faces = sum(len(batch.ages) for batch in ready)
    rates = {kind: faces / statistics.median(took[1:]) for kind, took in seconds.items()}
    return {
        "backbone": config.model.backbone,
        "side": config.model.size,
        "batch": config.optimizer.batch,
        "precision": "bfloat16" if training.autocast else "float32",
        "faces_per_second": {kind: round(rate, 1) for kind, rate in rates.items()},
        "loop_of_limit": round(rates["loop"] / rates["forward_and_backward"], 3),
    }


if __name__ == "__main__":
    main()
