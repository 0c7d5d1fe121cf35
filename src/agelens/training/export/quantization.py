"""A smaller, faster variant of a model: convolutions in 8 bits, chosen by measurement.

ONNX Runtime's own static quantiser (QDQ, weights per channel), calibrated on training chips.
Several settings are tried; the one that stays nearest to the whole model on validation faces
is kept, and its intervals are fitted anew.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.progress import Progress

from agelens import provenance
from agelens.data.chips import cached
from agelens.data.dataset import Dataset
from agelens.errors import TrainingError
from agelens.evaluation import calibration, metrics
from agelens.inference import distribution
from agelens.inference.runtime import Model
from agelens.training.export import exporter
from agelens.training.networks import checkpoint

CALIBRATION_FACES = 128  # the quantiser holds all activations of all of them
CALIBRATION_BATCH = 8
BATCH = 32


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to quantise."""

    method: str  # how activation ranges are read off: minmax, percentile or entropy
    whole: int  # convolutions at the start of each backbone that stay in float


SETTINGS = (
    Setting("minmax", 1),
    Setting("percentile", 1),
    Setting("percentile", 5),
    Setting("entropy", 1),
)
METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


class _Chips(CalibrationDataReader):  # type: ignore[misc]
    """Feeds training chips to the quantiser."""

    def __init__(self, chips: NDArray[np.uint8]) -> None:
        whole = len(chips) - len(chips) % CALIBRATION_BATCH  # its histograms need equal batches
        self._batches: Iterator[NDArray[np.uint8]] = iter(
            np.split(chips[:whole], whole // CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Give the next batch, or None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"chips": batch}


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """Validation faces."""

    chips: NDArray[np.uint8]
    ages: NDArray[np.int64]
    female: NDArray[np.int64]


def quantize(run: Path, data: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write the 8-bit variant of a run's model into another run folder; give its record.

    Raises TrainingError when every setting fails, ModelError for a run without a model.
    """
    whole = Model(run)
    split = int(whole.card.get("data", {}).get("split", 0))
    dataset = Dataset(data)
    rows = dataset.split(split)
    chips = cached(dataset, progress)
    random = np.random.default_rng(0)
    picked = np.sort(random.permutation(rows.train)[:CALIBRATION_FACES])
    faces = _Faces(
        chips[rows.validation],
        dataset.samples["age"].to_numpy()[rows.validation].astype(np.int64),
        (dataset.samples["gender"] == "female").to_numpy()[rows.validation].astype(np.int64),
    )
    task = progress.add_task("the whole model", total=len(SETTINGS) + 1)
    before = _measure(whole, faces)
    progress.advance(task)
    tries = []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for number, setting in enumerate(SETTINGS):
            progress.update(task, description=f"{setting.method}, {setting.whole} in float")
            file = Path(temporary) / f"{number}.onnx"
            _write(whole.path, file, chips[picked], setting)
            tries.append((file, setting, _measure(Model(file), faces)))
            progress.advance(task)
        file, setting, after = min(tries, key=lambda one: _lost(one[2].figures, before.figures))
        levels = calibration.fit_levels(after.probabilities, faces.ages)
        card = {
            **whole.card,
            "variant": {"of": whole.card.get("name", run.name), "bits": 8, **asdict(setting)},
            "validation": {**whole.card.get("validation", {}), **after.figures},
            "interval": {
                "low": levels.low.round(4).tolist(),
                "high": levels.high.round(4).tolist(),
            },
        }
        exporter.attach(file, card)
        file.replace(folder / "model.onnx")
    progress.remove_task(task)
    about = {
        "of": str(run),
        "sha256_of_whole": exporter.sha256(whole.path),
        "whole": before.figures,
        "tries": [asdict(s) | m.figures | _change(m, before) for _, s, m in tries],
        "chosen": asdict(setting),
        "data": {"fingerprint": dataset.fingerprint, "split": split, "part": "validation"},
        "calibration_faces": len(picked),
        "bytes": (folder / "model.onnx").stat().st_size,
        "versions": provenance.versions(),
        "made": provenance.now(),
    }
    checkpoint.write_json(folder / "run.json", about)
    return about


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    probabilities: NDArray[np.float32]
    figures: dict[str, float]


def _measure(model: Model, faces: _Faces) -> _Measured:
    said = [model.run(faces.chips[i : i + BATCH]) for i in range(0, len(faces.chips), BATCH)]
    spread = np.concatenate([one.age_probabilities for one in said])
    female = np.concatenate([one.female_probability for one in said])
    median = distribution.median(spread)
    return _Measured(
        spread,
        {
            "validation_mae": metrics.age_mae(median, faces.ages),
            "validation_cs5": metrics.cumulative_score(median, faces.ages, 5),
            "validation_gender_accuracy": metrics.gender_accuracy(female, faces.female),
        },
    )


def _lost(after: dict[str, float], before: dict[str, float]) -> float:
    """Weigh what was lost: 0.05 years of MAE count as much as 0.2 points of gender accuracy."""
    years = after["validation_mae"] - before["validation_mae"]
    share = before["validation_gender_accuracy"] - after["validation_gender_accuracy"]
    return max(years, 0) / 0.05 + max(share, 0) / 0.002


def _change(after: _Measured, before: _Measured) -> dict[str, float]:
    moved = distribution.median(after.probabilities) - distribution.median(before.probabilities)
    return {"age_moved": float(np.abs(moved).mean())}


def _write(whole: Path, file: Path, chips: NDArray[np.uint8], setting: Setting) -> None:
    model = onnx.load(whole)
    exporter.float32_weights(model)
    aside, folded = file.with_suffix(".whole.onnx"), file.with_suffix(".folded.onnx")
    onnx.save(model, aside)
    try:
        quant_pre_process(aside, folded)  # normalisation into convolutions
        kept = _first_convolutions(onnx.load(folded), setting.whole)
        quantize_static(
            folded,
            file,
            _Chips(chips),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=kept,
            calibrate_method=METHODS[setting.method],
            extra_options={"CalibPercentile": 99.99},
        )
    except (RuntimeError, ValueError, AttributeError) as error:
        raise TrainingError(f"ONNX Runtime cannot quantise {whole}: {error}") from error


def _first_convolutions(model: onnx.ModelProto, count: int) -> list[str]:
    """Name the first convolutions of each backbone: those that see the picture come first."""
    by_backbone: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            backbone = node.input[1].partition("stages")[0].rpartition("_W_")[2]  # folded: ..._W_
            by_backbone.setdefault(backbone, []).append(node.name)
    return [name for names in by_backbone.values() for name in names[:count]]
