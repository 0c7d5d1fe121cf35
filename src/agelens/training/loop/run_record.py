"""What a run folder tells of its run: recipe, versions, commit, data, seed, machine."""

import json
import subprocess
from pathlib import Path
from typing import Any

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.errors import ConfigError
from agelens.training.recipes.config import Config


def describe(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Give everything needed to repeat a run, as JSON values."""
    return {
        "config": config.table(),
        "seed": config.run.seed,
        "versions": provenance.versions(),
        "commit": commit(Path(__file__).parent),
        "machine": machine(),
        "data": {"fingerprint": dataset.fingerprint, "samples": len(dataset.samples)},
    }


def backbones(config: Config) -> dict[str, Any]:
    """Give what a network stands on, as its card says it."""
    model = config.model
    joins = {"joins": [one.backbone for one in model.members]} if model.members else {}
    return {"backbone": model.backbone, **joins}


def lineage(config: Config) -> dict[str, Any]:
    """Give what a recipe went on from: names of runs, the first one first, and if it was taught.

    As far as their run folders are there; what the members of a hybrid went on from is in it.
    """
    before: list[Config] = []
    _add_before(config, before, {config.name})
    taught = any(one.data.teacher is not None for one in [config, *before])
    return {"after": [one.name for one in before], "taught": taught}


def _add_before(config: Config, before: list[Config], known: set[str]) -> None:
    for weights in (config.model.weights, *(one.weights for one in config.model.members)):
        if not weights:
            continue
        file = Path(weights).with_suffix(".json")
        try:
            found = Config.check(json.loads(file.read_text("utf-8"))["config"], str(file))
        except (OSError, ValueError, KeyError, TypeError, ConfigError):
            continue
        if found.name not in known:
            known.add(found.name)
            _add_before(found, before, known)
            before.append(found)


def machine() -> dict[str, Any]:
    """Give the kind of machine, with the instructions and threads that torch uses."""
    import torch

    said = provenance.machine(torch.get_num_threads())
    return said | {"instructions": torch.backends.cpu.get_cpu_capability()}


def commit(folder: Path) -> str | None:
    """Give the git commit of a checkout, with "+" when files differ from it; None without git."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """Name the keys whose values differ, save how long a run goes and how it uses the machine."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        where = f"{path}{key}"
        if where in ("run.threads", "run.device", "name", "schedule.patience"):
            continue
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{where}.")
        elif before != after:
            lines.append(f"{where} was {before!r}, is {after!r}")
    return lines
