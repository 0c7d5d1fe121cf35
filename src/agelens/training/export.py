"""From a checkpoint to the one file that is evaluated and shipped: ONNX with its card.

Preprocessing is inside the graph, outputs are in human units; see `agelens.runtime`.
"""

import bisect
import contextlib
import hashlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agelens import distribution, provenance
from agelens.errors import TrainingError
from agelens.evaluation import metrics
from agelens.runtime import CARD_KEY, CHIP, Model
from agelens.training import record
from agelens.training.chips import Loader
from agelens.training.network import median

OPSET = 18
PARITY_YEARS = 1e-3
COVERAGE = 0.9
LICENCE = (
    "Weights: non-commercial research only, like the UTKFace data they were trained on. Code: MIT."
)


class Answer(nn.Module):
    """A network whose outputs are probabilities and years."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take uint8 (B, 200, 200, 3); give age probabilities, age years, female probability."""
        age, female = self.network(chips)
        probabilities = age.softmax(-1)
        return probabilities, median(probabilities), female.sigmoid()


def export(network: nn.Module, file: Path, card: dict[str, Any]) -> float:
    """Write a network as an ONNX file with its card; give the parity with torch in years.

    The largest difference in age between torch and ONNX Runtime, on random chips, must be
    under 0.001 years: otherwise TrainingError, and no file is left.
    """
    answer = Answer(network).eval()
    example = torch.randint(0, 256, (2, CHIP, CHIP, 3), dtype=torch.uint8)
    partial = file.with_name(file.name + ".part")
    try:
        with _quiet():
            torch.onnx.export(
                answer,
                (example,),
                partial,
                input_names=["chips"],
                output_names=["age_probabilities", "age_years", "female_probability"],
                dynamic_shapes={"chips": {0: torch.export.Dim("batch", min=1, max=4096)}},
                opset_version=OPSET,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        attach(partial, card)
        difference = parity(answer, partial)
        if not difference < PARITY_YEARS:
            raise TrainingError(
                f"the exported model differs from torch by {difference:.4f} years, more than "
                f"{PARITY_YEARS}; another version of torch or onnxruntime may agree"
            )
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return difference


def attach(file: Path, card: dict[str, Any]) -> None:
    """Put a card into an ONNX file, in place of the one it has."""
    model = onnx.load(file)
    for node in model.graph.node:  # the exporter notes there where its code stands on this disk
        del node.metadata_props[:]
        node.doc_string = ""
    kept = [(entry.key, entry.value) for entry in model.metadata_props if entry.key != CARD_KEY]
    del model.metadata_props[:]
    for key, value in [*kept, (CARD_KEY, json.dumps(card, ensure_ascii=False))]:
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    partial = file.with_name(file.name + ".card")
    onnx.save(model, partial)
    partial.replace(file)


def sha256(file: Path) -> str:
    """Give the SHA-256 of a file, 64 hex digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def parity(answer: Answer, file: Path) -> float:
    """Give the largest difference in years between torch and ONNX Runtime on 16 chips."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (16, 10, 10, 3), np.uint8)  # blobs, and noise on half
    chips = coarse.repeat(CHIP // 10, 1).repeat(CHIP // 10, 2)
    chips[8:] ^= random.integers(0, 32, chips[8:].shape, np.uint8)
    with torch.inference_mode():
        ours = [output.numpy() for output in answer(torch.from_numpy(chips))]
    theirs = Model(file).run(chips)
    if np.abs(ours[2] - theirs.female_probability).max() > PARITY_YEARS:
        return float("inf")
    mean_gap = distribution.mean(ours[0]) - distribution.mean(theirs.age_probabilities)
    return float(max(np.abs(ours[1] - theirs.age_years).max(), np.abs(mean_gap).max()))


def describe(name: str, split: int) -> dict[str, Any]:
    """Give the part of a card that every model made here has."""
    return {
        "name": name,
        "estimator": "median",
        "data": {"name": "UTKFace", "folds": "v1", "split": split},
        "gender": "the appearance label that the data carry, female or male",
        "licence": LICENCE,
        "made": provenance.now(),
        "commit": record.commit(Path(__file__).parent),
    }


def finish(network: nn.Module, file: Path, card: dict[str, Any], validation: Loader) -> float:
    """Export a network and fit its intervals on validation faces; give the parity in years."""
    difference = export(network, file, card)
    model = Model(file)
    spread = [model.run(batch.chips).age_probabilities for batch in validation.plain()]
    levels = interval_levels(np.concatenate(spread), validation.ages)
    attach(file, card | {"interval": levels})
    return difference


def interval_levels(
    probabilities: NDArray[np.float32], ages: NDArray[np.int64]
) -> dict[str, float]:
    """Fit the two quantile levels between which 90 % of the true ages lie.

    Takes distributions (N, 117) and ages (N,) of validation faces. The levels are a and
    1 - a; a is the largest on a fine grid that still covers.
    """
    grid = np.linspace(0.001, 0.2, 200).tolist()

    def misses(level: float) -> bool:
        low, high = (distribution.quantile(probabilities, q) for q in (level, 1 - level))
        return metrics.interval_coverage(low, high, ages) < COVERAGE

    first_that_misses = bisect.bisect_left(grid, True, key=misses)
    level = grid[max(first_that_misses - 1, 0)]
    return {"low": level, "high": 1 - level}


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the exporter's many notes off the user's screen; its errors still rise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
