"""Export a network, with its preprocessing, to the file that is evaluated and shipped: ONNX."""

import contextlib
import io
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import torch
from rich.progress import Progress
from torch import Tensor, nn

from agelens import provenance
from agelens.errors import TrainingError
from agelens.evaluation import calibration
from agelens.evaluation.calibration import Scaling, scale_logits
from agelens.inference import distribution
from agelens.inference.runtime import CARD_KEY, CHIP, Model
from agelens.training.batches.loader import Loader
from agelens.training.loop import run_record
from agelens.training.loop.metrics import predict
from agelens.training.networks.network import median
from agelens.training.networks.second_opinion import SecondOpinion, int8_levels, round_to_int8

OPSET = 18
PARITY_YEARS = 1e-3
LARGE = 1024  # elements; smaller tensors are not worth storing as float16
LICENCE = (
    "Weights: non-commercial research only, like the UTKFace data they were trained on. Code: MIT."
)


class CalibratedNetwork(nn.Module):
    """A network with scaled logits, whose outputs are probabilities and years."""

    def __init__(self, network: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        self.scaling = scaling

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map uint8 (B, 200, 200, 3) to age probabilities, age in years, female probability."""
        age, female = self.network(chips)
        probabilities = (age * self.scaling.age).softmax(-1)
        logit = female * self.scaling.gender + self.scaling.bias
        return probabilities, median(probabilities), logit.sigmoid()


def export(
    network: nn.Module, file: Path, card: dict[str, Any], scaling: Scaling, *, half: bool = False
) -> float:
    """Write a network as an ONNX file with its card; return the parity with torch in years.

    With `half` the file stores the weights, which `round_weights` must have rounded, as float16, or
    in 8 bits where they have no more: smaller, with the same outputs and speed once loaded. Raises
    TrainingError, and leaves no file, when ages of torch and ONNX Runtime differ by 0.001 years or
    more.
    """
    calibrated = CalibratedNetwork(network, scaling).eval()
    example = torch.randint(0, 256, (2, CHIP, CHIP, 3), dtype=torch.uint8)
    partial = file.with_name(file.name + ".part")
    log_level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(
                calibrated, (example,), partial, input_names=["chips"],
                output_names=["age_probabilities", "age_years", "female_probability"],
                dynamic_shapes={"chips": {0: torch.export.Dim("batch", min=1, max=4096)}},
                opset_version=OPSET, external_data=False, dynamo=True, verbose=False,
            )  # fmt: skip
        if half:
            store_compactly(partial)
        write_card(partial, card)
        difference = parity(calibrated, partial)
        if not difference < PARITY_YEARS:
            raise TrainingError(
                f"the exported model differs from torch by {difference:.4f} years, more than "
                f"{PARITY_YEARS}; another version of torch or onnxruntime may agree"
            )
        partial.replace(file)
    finally:
        logging.disable(log_level)
        partial.unlink(missing_ok=True)
    return difference


def write_card(file: Path, card: dict[str, Any]) -> None:
    """Write a card into an ONNX file, replacing the one it has."""
    model = onnx.load(file)
    for node in model.graph.node:  # the exporter stores paths of this machine there
        del node.metadata_props[:]
        node.doc_string = ""
    entries = {entry.key: entry.value for entry in model.metadata_props}
    entries[CARD_KEY] = json.dumps(card, ensure_ascii=False)
    onnx.helper.set_model_props(model, entries)
    onnx.checker.check_model(model)
    partial = file.with_name(file.name + ".card")
    onnx.save(model, partial)
    partial.replace(file)


def round_weights(network: nn.Module) -> None:
    """Round the weights of a network to float16 in place, those of a second opinion to 8 bits."""
    for weight in network.state_dict().values():
        if weight.dtype == torch.float32:
            weight.copy_(weight.half())
    for module in network.modules():
        if isinstance(module, SecondOpinion):
            round_to_int8(module.second_age)


def store_compactly(file: Path) -> None:
    """Store the large tensors of an ONNX file as int8 or float16, with casts back in the graph.

    Tensors that neither can hold exactly are left: convolutions with folded normalisation.
    """
    model = onnx.load(file)
    nodes, scales = [], []
    for tensor in model.graph.initializer:
        name, exact = tensor.name, onnx.numpy_helper.to_array(tensor)
        if exact.dtype != np.float32 or exact.size < LARGE:
            continue
        half, (levels, scale) = exact.astype(np.float16), int8_levels(exact)
        if np.array_equal(half.astype(np.float32), exact):
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_float16"))
            to = onnx.TensorProto.FLOAT
            nodes.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=to))
        elif np.allclose(levels * scale, exact, rtol=1e-5, atol=0):
            tensor.CopyFrom(onnx.numpy_helper.from_array(levels.astype(np.int8), f"{name}_int8"))
            scales.append(onnx.numpy_helper.from_array(scale.ravel(), f"{name}_scale"))
            inputs = [tensor.name, scales[-1].name]
            nodes.append(onnx.helper.make_node("DequantizeLinear", inputs, [name], axis=0))
    model.graph.initializer.extend(scales)
    for index, node in enumerate(nodes):
        model.graph.node.insert(index, node)
    onnx.save(model, file)


def float32_weights(model: onnx.ModelProto) -> None:
    """Undo `store_compactly` in a loaded model, in place, where it stored float16."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in list(model.graph.node):
        if node.op_type == "Cast" and node.input[0].endswith("_float16"):
            tensor = stored[node.input[0]]
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
            model.graph.node.remove(node)


def parity(calibrated: CalibratedNetwork, file: Path) -> float:
    """Return the largest difference in years between torch and ONNX Runtime on 16 chips."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (16, 10, 10, 3), np.uint8)  # blobs, with noise on half
    chips = coarse.repeat(CHIP // 10, 1).repeat(CHIP // 10, 2)
    chips[8:] ^= random.integers(0, 32, chips[8:].shape, np.uint8)
    with torch.inference_mode():
        ours = [output.numpy() for output in calibrated(torch.from_numpy(chips))]
    theirs = Model(file).run(chips)
    if np.abs(ours[2] - theirs.female_probability).max() > PARITY_YEARS:
        return float("inf")
    mean_gap = distribution.mean(ours[0]) - distribution.mean(theirs.age_probabilities)
    return float(max(np.abs(ours[1] - theirs.age_years).max(), np.abs(mean_gap).max()))


def base_card(name: str, split: int) -> dict[str, Any]:
    """Return the fields of a card that every model has."""
    return {
        "name": name, "estimator": "median",
        "data": {"name": "UTKFace", "folds": "v1", "split": split},
        "gender": "the appearance label that the data carry, female or male",
        "licence": LICENCE, "made": provenance.now(),
        "commit": run_record.commit(Path(__file__).parent),
    }  # fmt: skip


def calibrate_and_export(
    network: nn.Module, file: Path, card: dict[str, Any], validation: Loader, *, half: bool = False
) -> float:
    """Calibrate a network on validation faces and export it; return the parity in years.

    The scaling of its logits goes into the graph, the levels of its intervals into the card.
    `half` stores the weights compactly, which rounds those of the network too.
    """
    if half:
        round_weights(network)
    age_logits, female_logits = predict(network.eval(), validation, Progress(disable=True), "")
    probabilities, female = age_logits.softmax(-1).numpy(), female_logits.sigmoid().numpy()
    scaling = calibration.fit_scaling(probabilities, female, validation.ages, validation.female)
    levels = calibration.fit_levels(scale_logits(probabilities, scaling.age), validation.ages)
    card = card | {
        "scaling": {key: round(value, 4) for key, value in asdict(scaling).items()},
        "interval": levels.table(),
    }
    return export(network, file, card, scaling, half=half)
