"""Quantise a model: convolutions in 8 bits, by the setting that costs the least accuracy.

ONNX Runtime's quantiser (static, QDQ, per channel) is calibrated on training chips; the setting
that costs least on validation faces is kept, with intervals calibrated anew.
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
from agelens.data.storage import write_json
from agelens.errors import TrainingError
from agelens.evaluation import calibration
from agelens.inference import distribution
from agelens.inference.runtime import Model
from agelens.training.batches.loader import Loader, labelled_loader
from agelens.training.export import exporter
from agelens.training.loop.metrics import accuracy

CALIBRATION_FACES = 128  # the quantiser holds all activations of all of them
CALIBRATION_BATCH = 8
BATCH = 32


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to quantise; the names of its fields stand in cards and records."""

    method: str  # of calibrating activation ranges: minmax, percentile or entropy
    whole: int  # first convolutions of each backbone that stay in float


SETTINGS = (
    Setting("minmax", 1), Setting("percentile", 1), Setting("percentile", 5), Setting("entropy", 1)
)  # fmt: skip
METHODS = {method.name.lower(): method for method in CalibrationMethod}


class _CalibrationChips(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, chips: NDArray[np.uint8]) -> None:
        count = len(chips) // CALIBRATION_BATCH  # its histograms need equal batches
        batches = np.split(chips[: count * CALIBRATION_BATCH], count)
        self._inputs = iter([{"chips": batch} for batch in batches])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._inputs, None)


class _Measured(NamedTuple):
    probabilities: NDArray[np.float32]  # (N, 117)
    figures: dict[str, float]

    def age_shift(self, before: "_Measured") -> float:
        ours, theirs = (distribution.median(one.probabilities) for one in (self, before))
        return float(np.abs(ours - theirs).mean())

    def cost(self, before: "_Measured") -> float:
        """Sum the losses of accuracy: 0.05 years of MAE count like 0.2 % of gender accuracy."""
        years, share = (
            self.figures[key] - before.figures[key]
            for key in ("validation_mae", "validation_gender_accuracy")
        )
        return max(years, 0) / 0.05 + max(-share, 0) / 0.002


def quantize(run: Path, data: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write the 8-bit variant of a run's model into another run folder; return its record.

    Raises TrainingError when a setting fails, ModelError for a run without a model.
    """
    full = Model(run)
    split = int(full.card.get("data", {}).get("split", 0))
    dataset = Dataset(data)
    rows = dataset.split(split)
    picked = np.sort(np.random.default_rng(0).permutation(rows.train)[:CALIBRATION_FACES])
    chips = cached(dataset, progress)
    faces = labelled_loader(dataset, chips, rows.validation, BATCH)
    task = progress.add_task("the full model", total=len(SETTINGS) + 1)
    before = _measure(full, faces)
    progress.advance(task)
    trials = []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for number, setting in enumerate(SETTINGS):
            progress.update(task, description=f"{setting.method}, {setting.whole} in float")
            file = Path(temporary) / f"{number}.onnx"
            _quantize_file(full.path, file, chips[picked], setting)
            trials.append((file, setting, _measure(Model(file), faces)))
            progress.advance(task)
        file, setting, after = min(trials, key=lambda one: one[2].cost(before))
        levels = calibration.fit_levels(after.probabilities, faces.ages)
        card = {
            **full.card,
            "variant": {"of": full.card.get("name", run.name), "bits": 8, **asdict(setting)},
            "validation": {**full.card.get("validation", {}), **after.figures},
            "interval": levels.table(),
        }
        exporter.write_card(file, card)
        file.replace(folder / "model.onnx")
    progress.remove_task(task)
    tries = [{**asdict(tried), **measured.figures, "age_moved": measured.age_shift(before)}
             for _, tried, measured in trials]  # fmt: skip
    record = {
        "of": str(run), "sha256_of_whole": provenance.sha256(full.path), "whole": before.figures,
        "tries": tries, "chosen": asdict(setting),
        "data": {"fingerprint": dataset.fingerprint, "split": split, "part": "validation"},
        "calibration_faces": len(picked), "bytes": (folder / "model.onnx").stat().st_size,
        "versions": provenance.versions(), "made": provenance.now(),
    }  # fmt: skip
    write_json(folder / "run.json", record)
    return record


def _measure(model: Model, faces: Loader) -> _Measured:
    outputs = [model.run(batch.chips.astype(np.uint8, copy=False)) for batch in faces.in_order()]
    probabilities = np.concatenate([one.age_probabilities for one in outputs])
    female = np.concatenate([one.female_probability for one in outputs])
    figures = accuracy("validation", probabilities, female, faces.ages, faces.female)
    return _Measured(probabilities, figures)


def _quantize_file(full: Path, file: Path, chips: NDArray[np.uint8], setting: Setting) -> None:
    model = onnx.load(full)
    exporter.float32_weights(model)
    float32, folded = file.with_suffix(".float32.onnx"), file.with_suffix(".folded.onnx")
    onnx.save(model, float32)
    try:
        quant_pre_process(float32, folded)  # folds normalisation into convolutions
        excluded = _first_convolutions(onnx.load(folded), setting.whole)
        quantize_static(
            folded, file, _CalibrationChips(chips), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"], nodes_to_exclude=excluded,
            calibrate_method=METHODS[setting.method], extra_options={"CalibPercentile": 99.99},
        )  # fmt: skip
    except (RuntimeError, ValueError, AttributeError) as error:
        raise TrainingError(f"ONNX Runtime cannot quantise {full}: {error}") from error


def _first_convolutions(model: onnx.ModelProto, count: int) -> list[str]:
    by_backbone: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            backbone = node.input[1].partition("stages")[0].rpartition("_W_")[2]  # folded: ..._W_
            by_backbone.setdefault(backbone, []).append(node.name)
    return [name for names in by_backbone.values() for name in names[:count]]
