"""Checkpoints: tensors as safetensors, metadata as JSON; each file is complete or not there."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from agelens.data.storage import write_json
from agelens.errors import TrainingError


def save(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write tensors to `path` (safetensors), with `about` in its header and in a JSON file."""
    partial = path.with_name(path.name + ".part")
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(on_cpu, partial, {"about": json.dumps(about)})
    partial.replace(path)
    write_json(path.with_suffix(".json"), about)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote. Raises TrainingError for a missing or broken file."""
    tensors, header = read_tensors(path)
    try:
        return tensors, json.loads(header["about"])
    except (KeyError, ValueError) as error:
        raise TrainingError(f"{path} is not a checkpoint of a run: {error}") from error


def load_best(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the best checkpoint of a run folder. Raises TrainingError where there is none."""
    file = run / "best.safetensors"
    if not file.is_file():
        raise TrainingError(
            f"{str(run)!r} has no best.safetensors: expected the folder of a run, as "
            "agelens train --run writes it"
        )
    return load(file)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and header of a safetensors file. Raises TrainingError for a broken one."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"cannot read the safetensors file {path}: {error}") from error
