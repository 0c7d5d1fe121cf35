"""The record of a run: recipe, versions, commit, data, seed, machine, lineage."""

import json
import subprocess
from pathlib import Path
from typing import Any

import torch

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.errors import ConfigError
from agelens.training.recipes.config import Config


def initial_record(config: Config, dataset: Dataset) -> dict[str, Any]:
    """Return everything needed to repeat a run, as JSON values."""
    instructions = torch.backends.cpu.get_cpu_capability()
    return {
        "config": config.table(),
        "seed": config.run.seed,
        "versions": provenance.versions(),
        "commit": commit(Path(__file__).parent),
        "machine": provenance.machine(torch.get_num_threads()) | {"instructions": instructions},
        "data": {"fingerprint": dataset.fingerprint, "samples": len(dataset.samples)},
    }


def backbone_fields(config: Config) -> dict[str, Any]:
    """Return the fields of a model card that name the backbone, and the members of a hybrid."""
    joins = {"joins": [member.backbone for member in config.model.members]}
    return {"backbone": config.model.backbone} | (joins if config.model.members else {})


def lineage(config: Config) -> dict[str, Any]:
    """Return the fields of a model card that name the runs a recipe started from.

    "after" lists those whose run folders are there, the earliest first, with the members of a
    hybrid; "taught" says whether any was distilled.
    """
    ancestors: list[Config] = []
    known = {config.name}

    def visit(run: Config) -> None:
        for weights in (run.model.weights, *(one.weights for one in run.model.members)):
            if not weights:
                continue
            file = Path(weights).with_suffix(".json")
            try:
                start = Config.check(json.loads(file.read_text("utf-8"))["config"], str(file))
            except (OSError, ValueError, KeyError, TypeError, ConfigError):
                continue
            if start.name not in known:
                known.add(start.name)
                visit(start)
                ancestors.append(start)

    visit(config)
    distilled = any(one.data.teacher is not None for one in [config, *ancestors])
    return {"after": [one.name for one in ancestors], "taught": distilled}


def commit(folder: Path) -> str | None:
    """Return the git commit of a checkout, with "+" when files differ from it; None without git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """List the keys whose values differ, except how long a run goes and how it uses the machine."""
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
